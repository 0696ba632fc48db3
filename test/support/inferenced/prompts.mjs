/** Answers come from one reader of stdin, line by line, as from Go's bufio.Reader. */
let unread = "";
let ended = false;
const waiting = [];

function listen() {
  if (process.stdin.listenerCount("data") > 0) return;
  process.stdin.setEncoding("utf8");
  process.stdin.on("data", (piece) => {
    unread += piece;
    deliver();
  });
  process.stdin.on("end", () => {
    ended = true;
    deliver();
  });
}

function deliver() {
  for (;;) {
    const end = unread.search(/[\r\n]/);
    if (waiting.length === 0 || (end < 0 && !ended)) return;
    const line = end < 0 ? unread : unread.slice(0, end);
    const isEmptyEnd = end < 0 && unread === "";
    unread = end < 0 ? "" : unread.slice(end + (unread.startsWith("\r\n", end) ? 2 : 1));
    const { resolve, reject } = waiting.shift();
    if (isEmptyEnd) reject(new Error("EOF"));
    else resolve(line);
  }
}

export async function readLine() {
  listen();
  process.stdin.resume();
  const line = await new Promise((resolve, reject) => {
    waiting.push({ resolve, reject });
    deliver();
  });
  process.stdin.pause();
  return line;
}

/** A question with y/N, on stderr. */
export async function ask(question) {
  process.stderr.write(`${question} [y/N]: `);
  const answer = (await readLine()).trim().toLowerCase();
  return answer === "y" || answer === "yes";
}

/** On a terminal: asked on stderr and read without echo. From a pipe: read without a word. */
export async function askPassphrase(question) {
  if (!process.stdin.isTTY) return readLine();
  // Before the question is on the screen: whoever answers at once must not be echoed.
  process.stdin.setRawMode(true);
  process.stderr.write(question);
  try {
    return await readLine();
  } finally {
    process.stdin.setRawMode(false);
    process.stderr.write("\n");
  }
}
