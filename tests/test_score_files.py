"""Scores in: MIDI, MusicXML and labels, whole, odd and hostile."""

import contextlib
import zipfile

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiosep.errors import ExitCode, InputError, ParameterError
from audiosep.io import score_musicxml
from audiosep.io.score_midi import GENERAL_MIDI
from audiosep.io.score_parts import MOST_NOTES, pitch_of, stem_names
from audiosep.labels import problem_of_labels
from audiosep.notes import Note
from audiosep.scores import Score, Track, read_score


def on(note, at=0, velocity=80, channel=0):
    return mido.Message("note_on", note=note, velocity=velocity, time=at, channel=channel)


def off(note, at=0, channel=0):
    return mido.Message("note_off", note=note, velocity=0, time=at, channel=channel)


def meta(kind, **fields):
    return mido.MetaMessage(kind, **fields)


def midi(path, *tracks, kind=1, ticks_per_beat=480):
    file = mido.MidiFile(type=kind, ticks_per_beat=ticks_per_beat)
    file.tracks += [mido.MidiTrack(track) for track in tracks]
    file.save(path)
    return path


def notes_of(track):
    return [(round(n.start_s, 6), round(n.end_s, 6), n.pitch) for n in track.notes]


class TestMidi:
    def test_each_track_is_a_stem_under_its_name(self, tmp_path):
        path = midi(
            tmp_path / "a.mid",
            [meta("set_tempo", tempo=500_000)],
            [meta("track_name", name="flute"), on(72), off(72, 480)],
            [meta("track_name", name="cello"), on(48, 240), off(48, 480)],
        )
        score = read_score(path)
        assert [track.name for track in score.tracks] == ["flute", "cello"]
        assert notes_of(score.tracks[0]) == [(0.0, 0.5, 72)]
        assert notes_of(score.tracks[1]) == [(0.25, 0.75, 48)]
        assert score.tracks[0].notes[0].strength == pytest.approx(80 / 127)

    def test_tempo_changes_hold_for_all_tracks(self, tmp_path):
        path = midi(
            tmp_path / "a.mid",
            [meta("set_tempo", tempo=500_000), meta("set_tempo", tempo=1_000_000, time=960)],
            [on(60, 480), off(60, 960)],
        )
        (track,) = read_score(path).tracks
        # A quarter at half a second, from the third one on at a second.
        assert notes_of(track) == [(0.5, 2.0, 60)]

    def test_a_note_on_without_velocity_ends_a_note(self, tmp_path):
        path = midi(tmp_path / "a.mid", [on(60), on(60, 480, velocity=0)])
        assert notes_of(read_score(path).tracks[0]) == [(0.0, 0.5, 60)]

    def test_notes_of_one_pitch_may_overlap(self, tmp_path):
        path = midi(tmp_path / "a.mid", [on(60), on(60, 240), off(60, 240), off(60, 480)])
        assert notes_of(read_score(path).tracks[0]) == [(0.0, 0.5, 60), (0.25, 1.0, 60)]

    def test_a_note_that_is_never_released_ends_with_its_track(self, tmp_path):
        path = midi(tmp_path / "a.mid", [on(60), on(64, 480), off(64, 480)])
        assert notes_of(read_score(path).tracks[0]) == [(0.0, 1.0, 60), (0.5, 1.0, 64)]

    def test_the_pedal_is_not_heeded(self, tmp_path):
        pedal = mido.Message("control_change", control=64, value=127)
        path = midi(tmp_path / "a.mid", [pedal, on(60), off(60, 480)])
        assert notes_of(read_score(path).tracks[0]) == [(0.0, 0.5, 60)]

    def test_one_track_for_all_gives_one_stem_per_channel(self, tmp_path):
        path = midi(
            tmp_path / "a.mid",
            [
                meta("track_name", name="all of it"),
                mido.Message("program_change", program=40, channel=0),
                mido.Message("program_change", program=0, channel=1),
                *(on(72), on(48, channel=1), on(36, channel=9)),
                *(off(72, 480), off(48, channel=1), off(36, channel=9)),
            ],
            kind=0,
        )
        tracks = read_score(path).tracks
        assert [track.name for track in tracks] == ["violin", "piano", "drums"]
        assert [track.percussive for track in tracks] == [False, False, True]

    def test_a_track_without_a_name_is_called_by_its_program_or_its_place(self, tmp_path):
        path = midi(
            tmp_path / "a.mid",
            [mido.Message("program_change", program=73), on(72), off(72, 10)],
            [on(60, channel=1), off(60, 10, channel=1)],
        )
        assert [track.name for track in read_score(path).tracks] == ["flute", "track-2"]
        assert len(GENERAL_MIDI) == 128
        assert len(set(GENERAL_MIDI)) == 128
        assert problem_of_labels(GENERAL_MIDI[:64]) == problem_of_labels(GENERAL_MIDI[64:]) == ""

    def test_an_instrument_that_plays_nothing_is_kept(self, tmp_path):
        path = midi(
            tmp_path / "a.mid",
            [meta("track_name", name="by nobody"), meta("text", text="all rights")],
            [meta("track_name", name="tuba"), mido.Message("program_change", program=58)],
            [meta("track_name", name="flute"), on(72), off(72, 480)],
        )
        score = read_score(path)
        assert [(track.name, len(track.notes)) for track in score.tracks] == [
            ("tuba", 0),
            ("flute", 1),
        ]

    def test_pieces_of_their_own_have_their_own_tempo(self, tmp_path):
        path = midi(
            tmp_path / "a.mid",
            [meta("set_tempo", tempo=1_000_000), on(60), off(60, 480)],
            [on(62), off(62, 480)],
            kind=2,
        )
        assert [notes_of(track)[0][1] for track in read_score(path).tracks] == [1.0, 0.5]

    def test_film_time_is_understood(self, tmp_path):
        path = midi(tmp_path / "a.mid", [on(60), off(60, 50)])
        data = bytearray(path.read_bytes())
        data[12:14] = bytes([256 - 25, 4])  # 25 frames a second, 4 ticks each
        path.write_bytes(data)
        assert notes_of(read_score(path).tracks[0]) == [(0.0, 0.5, 60)]
        data[12:14] = b"\xe7\x00"
        path.write_bytes(data)
        with pytest.raises(InputError, match="damaged MIDI"):
            read_score(path)

    def test_names_in_utf_8_are_read(self, tmp_path):
        name = "Flöte".encode().decode("latin-1")
        path = midi(tmp_path / "a.mid", [meta("track_name", name=name), on(60), off(60, 9)])
        assert read_score(path).tracks[0].name == "Flöte"

    def test_drums_by_name_are_drums(self, tmp_path):
        tracks = [
            [meta("track_name", name=name), on(36), off(36, 9)]
            for name in ("Kick", "hi-hat", "Snare top", "Kickstarter strings", "steel drums")
        ]
        found = read_score(midi(tmp_path / "a.mid", *tracks)).tracks
        assert [track.percussive for track in found] == [True, True, True, False, False]

    @pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
    def test_a_cut_file_is_refused(self, tmp_path, share):
        path = midi(tmp_path / "a.mid", [x for _ in range(50) for x in (on(60, 9), off(60, 9))])
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        with pytest.raises(InputError, match=r"a\.mid: ") as caught:
            read_score(path)
        assert caught.value.exit_code == ExitCode.ALL_FAILED

    def test_no_track_with_a_note_is_refused(self, tmp_path):
        path = midi(tmp_path / "a.mid", [meta("track_name", name="flute")])
        with pytest.raises(InputError, match="no note in it"):
            read_score(path)

    def test_too_many_notes_are_refused_quickly(self, tmp_path):
        path = tmp_path / "a.mid"
        body = b"\x00\x90\x3c\x40" + b"\x01\x3c\x00\x00\x3c\x40" * 1_000_000
        head = b"MThd\x00\x00\x00\x06\x00\x00\x00\x01\x01\xe0"
        path.write_bytes(head + b"MTrk" + len(body).to_bytes(4, "big") + body)
        with pytest.raises(InputError, match="4 MB"):
            read_score(path)

    def test_an_endless_score_is_refused(self, tmp_path):
        path = midi(
            tmp_path / "a.mid",
            [meta("set_tempo", tempo=16_777_215), on(60, 200_000_000), off(60, 200_000_000)],
            ticks_per_beat=1,
        )
        with pytest.raises(InputError, match="outside the first day"):
            read_score(path)

    def test_ten_hours_are_read(self, tmp_path):
        path = midi(tmp_path / "a.mid", [on(60, 960 * 36_000), off(60, 480)])
        assert notes_of(read_score(path).tracks[0]) == [(36_000.0, 36_000.5, 60)]

    @given(st.binary(max_size=200), st.integers(0, 60))
    def test_mutated_files_are_read_or_refused(self, tmp_path_factory, junk, at):
        path = tmp_path_factory.mktemp("midi") / "a.mid"
        midi(path, [meta("track_name", name="x"), on(60), off(60, 480), on(62), off(62, 99)])
        data = path.read_bytes()
        path.write_bytes(data[:at] + junk + data[at + len(junk) :])
        with contextlib.suppress(InputError):
            score = read_score(path)
            assert any(track.notes for track in score.tracks)


MUSICXML = """<?xml version="1.0"?>
<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN"
 "http://www.musicxml.org/dtds/partwise.dtd">
<score-partwise><part-list>
<score-part id="P1"><part-name>Clarinet in B</part-name></score-part>
<score-part id="P2"><part-name>Cello</part-name></score-part>
</part-list>{parts}</score-partwise>"""


def xml_note(step="C", octave=4, duration=2, *, alter=0, more=""):
    pitch = f"<pitch><step>{step}</step><alter>{alter}</alter><octave>{octave}</octave></pitch>"
    return f"<note>{more}{pitch}<duration>{duration}</duration></note>"


def xml_part(identity, *measures, attributes="<divisions>2</divisions>"):
    inside = "".join(
        f"<measure>{f'<attributes>{attributes}</attributes>' if i == 0 else ''}{m}</measure>"
        for i, m in enumerate(measures)
    )
    return f'<part id="{identity}">{inside}</part>'


def musicxml(path, *parts):
    path.write_text(MUSICXML.format(parts="".join(parts)), encoding="utf-8")
    return path


class TestMusicXML:
    def test_parts_chords_rests_and_backups(self, tmp_path):
        rest = "<note><rest/><duration>2</duration></note>"
        chord = xml_note("E", more="<chord/>")
        back = "<backup><duration>4</duration></backup>"
        path = musicxml(
            tmp_path / "a.musicxml",
            xml_part("P1", rest + xml_note("C") + chord + back + xml_note("G", 2)),
            xml_part("P2", xml_note("A", 3, 4)),
        )
        first, second = read_score(path).tracks
        assert (first.name, second.name) == ("Clarinet in B", "Cello")
        # 120 quarters a minute; the backup leads to the first quarter.
        assert notes_of(first) == [(0.0, 0.5, 43), (0.5, 1.0, 60), (0.5, 1.0, 64)]
        assert notes_of(second) == [(0.0, 1.0, 57)]

    def test_transposed_parts_sound_as_they_sound(self, tmp_path):
        attributes = (
            "<divisions>1</divisions><transpose><chromatic>-2</chromatic>"
            "<octave-change>-1</octave-change></transpose>"
        )
        part = xml_part("P1", xml_note("D", 5, 1, alter=-1), attributes=attributes)
        (track,) = read_score(musicxml(tmp_path / "a.xml", part)).tracks
        assert [note.pitch for note in track.notes] == [73 - 14]

    def test_ties_join_over_the_bar(self, tmp_path):
        part = xml_part(
            "P1",
            xml_note(more='<tie type="start"/>'),
            xml_note(more='<tie type="stop"/>') + xml_note(),
        )
        (track,) = read_score(musicxml(tmp_path / "a.xml", part)).tracks
        assert notes_of(track) == [(0.0, 1.0, 60), (1.0, 1.5, 60)]

    def test_tempo_marks_hold_for_all_parts(self, tmp_path):
        slow = '<direction><sound tempo="60"/></direction>'
        mark = (
            "<direction><direction-type><metronome><beat-unit>half</beat-unit>"
            "<per-minute>60</per-minute></metronome></direction-type></direction>"
        )
        path = musicxml(
            tmp_path / "a.xml",
            xml_part("P1", slow + xml_note(), mark + xml_note()),
            xml_part("P2", xml_note("A"), xml_note("B")),
        )
        for track in read_score(path).tracks:
            assert [(n.start_s, n.end_s) for n in track.notes] == [(0.0, 1.0), (1.0, 1.5)]

    def test_repeats_and_their_endings_are_played_out(self, tmp_path):
        ending = '<barline><ending number="{n}" type="{t}"/>{r}</barline>'
        again = '<repeat direction="backward"/>'
        part = xml_part(
            "P1",
            xml_note("C"),
            ending.format(n=1, t="start", r="")
            + xml_note("D")
            + ending.format(n=1, t="stop", r=again),
            ending.format(n=2, t="start", r="")
            + xml_note("E")
            + ending.format(n=2, t="discontinue", r=""),
            '<barline><repeat direction="forward"/></barline>' + xml_note("F"),
            xml_note("G") + f"<barline>{again}</barline>",
            xml_note("A"),
        )
        (track,) = read_score(musicxml(tmp_path / "a.xml", part)).tracks
        letters = {60: "C", 62: "D", 64: "E", 65: "F", 67: "G", 69: "A"}
        assert "".join(letters[n.pitch] for n in track.notes) == "CDCEFGFGA"
        assert track.notes[-1].end_s == pytest.approx(4.5)

    def test_drums_are_drums(self, tmp_path):
        unpitched = "<unpitched><display-step>E</display-step><display-octave>4</display-octave>"
        note = f"<note>{unpitched}</unpitched><duration>1</duration></note>"
        (track,) = read_score(musicxml(tmp_path / "a.xml", xml_part("P1", note))).tracks
        assert track.percussive
        assert len(track.notes) == 1

    def test_compressed_files_are_read(self, tmp_path):
        plain = musicxml(tmp_path / "a.xml", xml_part("P1", xml_note())).read_bytes()
        container = (
            b"<container><rootfiles><rootfile full-path='in/s.xml'/></rootfiles></container>"
        )
        path = tmp_path / "a.mxl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("META-INF/container.xml", container)
            archive.writestr("in/s.xml", plain)
        assert len(read_score(path).tracks[0].notes) == 1
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(InputError, match=r"damaged \.mxl"):
            read_score(path)

    def test_a_zip_bomb_is_refused(self, tmp_path):
        path = tmp_path / "a.mxl"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("s.xml", b"<a>" + b" " * (70 << 20))
        with pytest.raises(InputError, match="more than 64 MB"):
            read_score(path)

    def test_entities_are_refused(self, tmp_path):
        path = tmp_path / "a.xml"
        bomb = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
        for text in (
            f'<!DOCTYPE x [<!ENTITY l0 "lol">{bomb}]><x>&l9;</x>',
            '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>',
        ):
            for encoding in ("utf-8", "utf-16"):
                path.write_text(text, encoding=encoding)
                with pytest.raises(InputError, match="entities"):
                    read_score(path)

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("<html></html>", "no MusicXML score"),
            ("<score-timewise/>", "score-partwise"),
            ("<score-partwise>", "damaged XML"),
            ("<score-partwise/>", "no note"),
            ("<" + "a><" * 100_000, "damaged XML"),
        ],
    )
    def test_other_xml_is_refused(self, tmp_path, text, match):
        path = tmp_path / "a.xml"
        path.write_text(text)
        with pytest.raises(InputError, match=match):
            read_score(path)

    def test_too_many_elements_are_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr(score_musicxml, "_MOST_ELEMENTS", 1000)
        path = tmp_path / "a.xml"
        path.write_bytes(b"<score-partwise>" + b"<a/>" * 1000 + b"</score-partwise>")
        with pytest.raises(InputError, match="elements"):
            read_score(path)

    @pytest.mark.parametrize(
        "note",
        [
            xml_note(duration="x"),
            xml_note(duration="nan"),
            xml_note(duration="-4"),
            xml_note(duration="1e300"),
            xml_note(step="H"),
            xml_note(alter="inf"),
            "<attributes><divisions>0</divisions></attributes>" + xml_note(),
        ],
    )
    def test_numbers_that_are_none_are_refused(self, tmp_path, note):
        with pytest.raises(InputError, match="damaged MusicXML"):
            read_score(musicxml(tmp_path / "a.xml", xml_part("P1", note)))

    def test_endless_repeats_end(self, tmp_path):
        bar = xml_note() + '<barline><repeat direction="backward" times="99999"/></barline>'
        score = read_score(musicxml(tmp_path / "a.xml", xml_part("P1", *[bar] * 50)))
        assert len(score.tracks[0].notes) <= 50 * 16


class TestLabels:
    def test_notes_with_and_without_instruments(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text(
            "0.5\t1.0\tflute:C4\n\\\t261\t262\n1.0\t1.5\tcello: A#2\n\n"
            "1.5\t2\tflute:61\n2\t3\tEb5\n"
        )
        score = read_score(path)
        found = {track.name: notes_of(track) for track in score.tracks}
        assert found == {
            "flute": [(0.5, 1.0, 60), (1.5, 2.0, 61)],
            "cello": [(1.0, 1.5, 46)],
            "track-1": [(2.0, 3.0, 75)],
        }

    def test_labels_without_a_pitch_are_regions(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("0\t1\tdog\r\n3\t4\tdog\r\n0\t4\tflute:C5\r\n", encoding="utf-8-sig")
        dog, flute = read_score(path).tracks
        assert (dog.name, dog.notes, dog.regions) == ("dog", (), ((0.0, 1.0), (3.0, 4.0)))
        assert (flute.regions, len(flute.notes)) == ((), 1)

    @pytest.mark.parametrize(
        "line", ["abc", "1\t0\tC4", "-1\t0\tC4", "nan\t1\tC4", "0\tinf\tC4", "0 1 C4", "\t\t"]
    )
    def test_lines_that_are_no_labels_are_named(self, tmp_path, line):
        path = tmp_path / "a.txt"
        path.write_text(f"0\t1\tC4\n{line}\n" if line.strip() else f"0\t1\tC4\nx{line}\n")
        with pytest.raises(InputError, match="line 2 is no label"):
            read_score(path)

    @pytest.mark.parametrize(
        "label",
        ["flute:H9", "flute:C4b5:K4", "flute:C#", "flute:B 12", "flute:Cis4", "flute:128",
         "flute:-3", "flute:60.5", "H9", "c12", "A##b10", "200"],
    )  # fmt: skip
    def test_notes_that_do_not_exist_are_named(self, tmp_path, label):
        path = tmp_path / "a.txt"
        path.write_text(f"0\t1\tC4\n1\t2\t{label}\n")
        with pytest.raises(InputError, match="line 2: there is no note ") as caught:
            read_score(path)
        assert f"'{label}'" in str(caught.value)

    @pytest.mark.parametrize(
        "label", ["verse", "verse 2", "s2", "take: one", "part:A", "Bb", "12 strings", "drum:kick2"]
    )
    def test_names_that_are_no_notes_are_regions(self, tmp_path, label):
        path = tmp_path / "a.txt"
        path.write_text(f"0\t1\tC4\n1\t2\t{label}\n")
        assert read_score(path).tracks[1].regions == ((1.0, 2.0),)

    def test_a_million_labels_are_refused(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("0\t1\tC4\n" * 1_000_000)
        with pytest.raises(InputError, match=f"more than {MOST_NOTES} notes"):
            read_score(path)

    def test_too_many_instruments_are_refused(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("".join(f"0\t1\ti{i}:C4\n" for i in range(65)))
        with pytest.raises(InputError, match="65 tracks are too many"):
            read_score(path)


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "match"),
        [
            (b"", "the score is empty"),
            (b"\x89PNG\r\n\x1a\n\x00\x00\x00", "it is no score"),
            (b"RIFF\x00\x00\x00\x00WAVE", "it is no score"),
            (b"\xff\xfb\x90\x64 no text", "no label track in UTF-8"),
            (b"PK\x03\x04 nothing", r"damaged \.mxl"),
            (b"MThd", "damaged MIDI"),
        ],
    )
    def test_what_is_no_score_is_refused(self, tmp_path, content, match):
        path = tmp_path / "a.mid"
        path.write_bytes(content)
        with pytest.raises(InputError, match=match):
            read_score(path)

    def test_what_is_no_file_is_refused(self, tmp_path):
        for path, match in (
            (tmp_path / "none.mid", "cannot read the score: No such file"),
            (tmp_path, "it is a folder"),
            ("\0", "cannot read the score"),
        ):
            with pytest.raises(InputError, match=match):
                read_score(path)

    def test_the_ending_does_not_matter(self, tmp_path):
        path = midi(tmp_path / "a.txt", [on(60), off(60, 480)])
        assert len(read_score(str(path)).tracks) == 1


class TestNames:
    def test_names_can_be_files(self):
        names = ["a/b", "A-B", "", "..", "one-shot-one-shot-x", "x" * 300, "é" * 300, "tab\there"]
        found = stem_names(names)
        assert found[:5] == ("a-b", "A-B-2", "track-3", "track-4", "x")
        assert found[7] == "tab here"
        assert problem_of_labels(found) == ""

    @given(st.lists(st.text(max_size=60), min_size=1, max_size=12))
    def test_whatever_they_are_called(self, names):
        found = stem_names(names)
        assert len(found) == len(names)
        assert problem_of_labels(found) == ""

    def test_pitches(self):
        texts = ("C4", "a4", "A#3", "Bb3", "B♭3", "C-1", "G9", "60", "G#9", "H2", "128", "C", "")
        assert [pitch_of(text) for text in texts] == [
            *(60, 69, 58, 58, 58, 0, 127, 60),
            *(None, None, None, None, None),
        ]


class TestScore:
    def test_scores_that_cannot_be_are_refused(self):
        note = Note(start_s=0.0, end_s=1.0, pitch=60, strength=1.0)
        for tracks, match in (
            ((), "no track"),
            ((Track(name="a", notes=()), Track(name="a", notes=())), "same name"),
            ((Track(name="a/b", notes=()),), "cannot name a stem"),
            (
                (Track(name="a", notes=(Note(start_s=1.0, end_s=0.0, pitch=1, strength=1),)),),
                "ends",
            ),
            ((Track(name="a", notes=(note,), regions=((0.0, np.nan),)),), "ends"),
            ((Track(name="a", notes=(Note(start_s=0, end_s=1, pitch=128, strength=1),)),), "127"),
        ):
            with pytest.raises(ParameterError, match=match):
                Score(tracks=tracks)
        assert Score(tracks=(Track(name="a", notes=(note,)),)).tracks[0].notes == (note,)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.mid", b"no score\n", "it is text, not MIDI; export it again."),
        ("a.musicxml", b"no score\n", "it is text, not MusicXML; export it again."),
        ("a.txt", b"no score\n", "line 1 is no label; "),
        (
            "a.musicxml",
            b"<html><body/></html>",
            "it is XML, but no MusicXML score by parts (html); export it as MusicXML again.",
        ),
        ("a.musicxml", b"<score-partwise><part", "it is damaged XML (in line 1); export it again."),
        (
            "a.mid",
            b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk\0\0\0\x20\0\xf0\xff\xff\xff\xff\xff\x7f" + bytes(20),
            "it is a damaged MIDI file; export it again.",
        ),
    ],
)
def test_what_is_wrong_is_told_as_the_file_was_meant(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_score(path)
    assert str(refused.value).startswith(f"{path}: {words}")
    assert "exceeds" not in str(refused.value)


def test_labels_are_taken_whatever_their_name_is(tmp_path):
    (tmp_path / "a.mid").write_text("0.5\t1.2\tflute:C4\n")
    assert [track.name for track in read_score(tmp_path / "a.mid").tracks] == ["flute"]
