import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { answerOf, mockModel, mockSession, streamOf, textParts } from "../../../test/support/mock-chat-session.ts";
import { manualClock } from "../../base/time.ts";
import { conversationStore } from "../../chat/conversations.ts";
import { pageChat } from "./chat.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "zeph-page-chat-"));
});
afterEach(() => rm(folder, { recursive: true }));

it("keeps a stopped answer before the next question of its conversation, however slow the disk is", async () => {
  const store = conversationStore({ folder, clock: manualClock(1_700_000_000_000), random: Math.random });
  let write = () => {};
  const written = new Promise<void>((resolve) => {
    write = resolve;
  });
  let saves = 0;
  const slowStore: typeof store = {
    ...store,
    keeper(resumed) {
      const keeper = store.keeper(resumed);
      return {
        get id() {
          return keeper.id;
        },
        async save(state) {
          // The second one is what came of the stopped answer.
          if (++saves === 2) await written;
          await keeper.save(state);
        },
      };
    },
  };
  const model = mockModel([streamOf(textParts("Half of"), "hang"), answerOf("All of it")]);
  const { chat, chats } = pageChat({
    store: slowStore,
    openSession: async () => mockSession({ model }),
    budget: { isLimited: false, check: async () => {}, add: async () => {}, spentTodayUsd: async () => 0 },
    clock: manualClock(1_700_000_000_000),
  });
  const asked = { parts: [{ type: "text" as const, text: "How much?" }] };
  const stop = new AbortController();
  const first = chat(asked, stop.signal)[Symbol.asyncIterator]();
  const { value: start } = await first.next();
  const conversationId = start?.type === "start" ? start.conversationId : "";
  await first.next();
  stop.abort();
  const left = first.next().then(() => first.return?.());

  const order: string[] = [];
  const looked = chats.get(conversationId).then(({ exchanges }) => {
    order.push("looked");
    return exchanges;
  });
  const again = (async () => {
    const events = [];
    for await (const event of chat({ ...asked, conversationId, replaceFrom: 0 }, new AbortController().signal)) {
      events.push(event);
    }
    order.push("answered");
    return events;
  })();
  order.push("written");
  write();
  await left;
  expect((await looked)[0]).toMatchObject({ answer: "Half of", interrupted: "stopped" });
  expect((await again)[0]).toMatchObject({ type: "start", conversationId, index: 0 });
  expect((await again).at(-1)).toMatchObject({ type: "end", conversationId });
  expect(order[0]).toBe("written");
  expect((await chats.list("")).map(({ id }) => id)).toEqual([conversationId]);
});
