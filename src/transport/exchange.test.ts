import { expect, it } from "vitest";
import { HeaderFields } from "../base/header-fields.ts";
import { type AnswerSink, ask, carryResponse } from "./exchange.ts";

/** An exchange whose other side the test plays. */
function begun() {
  const told: string[] = [];
  let sink: AnswerSink | undefined;
  const asked = ask((given) => {
    sink = given;
    return { abort: (reason) => told.push(`abort ${String(reason)}`), resume: () => told.push("resume") };
  });
  return { asked, told, sink: sink as AnswerSink };
}

const head = { status: 200, statusText: "OK", headers: new HeaderFields({}) };
const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();
const bytes = (content: string) => Buffer.from(content);

it("gives what came while nobody looked as one piece, and says when somebody waits", async () => {
  const { asked, told, sink } = begun();
  sink.head(head);
  const answer = await asked.begun;
  expect([sink.data(bytes("a")), sink.data(bytes("b"))]).toEqual([true, true]);
  expect(text(await answer.next())).toBe("ab");
  expect(told).toEqual([]);
  const next = answer.next();
  expect(told).toEqual(["resume"]);
  sink.data(bytes("c"));
  expect(text(await next)).toBe("c");
  sink.end();
  expect(await answer.next()).toBeUndefined();
});

it("asks the sender to wait while too much waits for the reader", async () => {
  const { asked, sink } = begun();
  sink.head(head);
  const answer = await asked.begun;
  const piece = Buffer.alloc(40 * 1024);
  expect([sink.data(piece), sink.data(piece)]).toEqual([true, false]);
  expect((await answer.next())?.byteLength).toBe(80 * 1024);
  expect(sink.data(piece)).toBe(true);
});

it("gives the words before the failure that ended them", async () => {
  const { asked, sink } = begun();
  sink.head(head);
  const answer = await asked.begun;
  sink.data(bytes("words"));
  sink.fail(new Error("cut"));
  expect(text(await answer.next())).toBe("words");
  await expect(answer.next()).rejects.toThrow("cut");
});

it("gives nothing more to who leaves, before and after the answer has begun", async () => {
  const before = begun();
  before.asked.abort("gone");
  await expect(before.asked.begun).rejects.toBe("gone");
  const after = begun();
  after.sink.head(head);
  const answer = await after.asked.begun;
  after.sink.data(bytes("unread"));
  after.sink.end();
  after.asked.abort("gone");
  await expect(answer.next()).rejects.toBe("gone");
  expect(after.told).toEqual(["abort gone"]);
});

it("reads a response only as far as somebody waits, and leaves it when told to", async () => {
  let pulled = 0;
  let reason: unknown;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        pulled += 1;
        controller.enqueue(bytes(String(pulled)));
      },
      cancel(given) {
        reason = given;
      },
    },
    { highWaterMark: 0 },
  );
  const seen: string[] = [];
  let onHead = () => {};
  const headCame = new Promise<void>((resolve) => {
    onHead = resolve;
  });
  let onData = () => {};
  const underway = carryResponse(async () => new Response(body), {
    head: () => onHead(),
    data(piece) {
      seen.push(String(text(piece)));
      onData();
      return false;
    },
    end: () => seen.push("end"),
    fail: (error) => seen.push(`failed: ${String(error)}`),
  });
  await headCame;
  expect(pulled).toBe(0);
  for (const expected of [["1"], ["1", "2"]]) {
    const came = new Promise<void>((resolve) => {
      onData = resolve;
    });
    underway.resume();
    await came;
    await Promise.resolve();
    expect(seen).toEqual(expected);
  }
  underway.abort("left");
  expect([seen.at(-1), reason]).toEqual(["failed: left", "left"]);
});
