// What the page asks of the studio, and what it is told without asking.

export class Refused extends Error {}
export class Lost extends Error {}

export function wordsOf(error) {
  if (error instanceof Refused) return error.message;
  if (error instanceof Lost) {
    return "The studio does not answer: it was stopped. Start it again with 'audiosep studio'; what was not saved is gone.";
  }
  return `Something unexpected happened: ${error.message}`;
}

async function fetched(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Lost();
  }
}

async function answered(response) {
  if (response.ok) return response;
  let words = "";
  try {
    words = (await response.clone().json()).problem;
  } catch {
    words = (await response.text()).trim();
  }
  throw new Refused(words || `The studio answered with ${response.status}.`);
}

export async function bytes(path) {
  return (await answered(await fetched(path))).arrayBuffer();
}

export async function json(path) {
  return (await answered(await fetched(path))).json();
}

export async function act(name, asked) {
  const response = await fetched(`/api/do/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(asked),
  });
  return (await answered(response)).json();
}

// A file, as it is; `progress` is told how much of it is over there, 0 to 1.
export function upload(file, version, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", `/api/upload?name=${encodeURIComponent(file.name)}&version=${version}`);
    request.upload.addEventListener("progress", (event) => progress(event.loaded / (event.total || 1)));
    request.addEventListener("load", () => {
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        answer = { problem: request.responseText.trim() };
      }
      if (request.status === 200) resolve(answer);
      else reject(new Refused(answer.problem || `The studio answered with ${request.status}.`));
    });
    request.addEventListener("error", () => reject(new Lost()));
    request.send(file);
  });
}

// Calls `told` with each new state, `failed` when there is none to be had.
export async function follow(told, failed) {
  let known = 0;
  for (;;) {
    try {
      const state = await json(`/api/state?since=${known}`);
      known = state.serial;
      told(state);
      if (state.ending) throw new Lost();
    } catch (error) {
      failed(error);
      known = 0;
      await pause(1000);
    }
  }
}

function pause(milliseconds) {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}
