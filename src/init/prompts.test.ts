import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { memoryKeyboard, memoryOutput } from "../../test/support/memory-terminal.ts";
import { manualClock } from "../base/time.ts";
import { terminalWizard } from "./prompts.ts";
import { plainTell } from "./session.ts";

function terminal(columns = 80) {
  const keyboard = Object.assign(memoryKeyboard(), { setRawMode: () => {} });
  const stderr = memoryOutput({ columns });
  const controller = new AbortController();
  const clock = manualClock();
  const wizard = terminalWizard({ stdin: keyboard, stderr, signal: controller.signal, clock });
  return { keyboard, stderr, controller, clock, ...wizard };
}

describe("the wizard", () => {
  it("asks for a choice, a text, a yes and a secret", async () => {
    const { ask, keyboard, stderr } = terminal();
    const choices = [
      { value: "a", label: "First" },
      { value: "b", label: "Second", hint: "better" },
    ];
    const chosen = ask.select({ message: "Which?", choices, initial: "b" });
    await stderr.waitFor("better");
    keyboard.write("\r");
    expect(await chosen).toBe("b");

    const name = ask.text({
      message: "Name?",
      initial: "zeph",
      check: (text) => (text === "x" ? "Not x." : undefined),
    });
    await stderr.waitFor("Name?");
    keyboard.write("\r");
    expect(await name).toBe("zeph");

    const yes = ask.confirm({ message: "Sure?" });
    await stderr.waitFor("Sure?");
    keyboard.write("y");
    expect(await yes).toBe(true);

    const secret = ask.hidden({
      message: "Key?",
      check: (key) => (key.reveal().length < 4 ? "Too short." : undefined),
    });
    await stderr.waitFor("Key?");
    keyboard.write("abc\r");
    await stderr.waitFor("Too short.");
    keyboard.write("abcdef\r");
    expect((await secret).reveal()).toBe("abcdef");
    expect(stderr.text).not.toContain("abc");
  });

  it("lets no name from outside steer the terminal", async () => {
    const { ask, tell, keyboard, stderr } = terminal();
    const hostile = "m/\u001b]0;owned\u0007\u001b[2J\u009b31m\u202eevil\n";
    const chosen = ask.select({ message: hostile, choices: [{ value: hostile, label: hostile, hint: hostile }] });
    await stderr.waitFor("evil");
    keyboard.write("\r");
    expect(await chosen).toBe(hostile);
    for (const say of [tell.info, tell.done, tell.warn, tell.fail]) say(hostile);
    plainTell({ stderr }).warn(hostile);
    expect(stderr.text).not.toMatch(/\u001b\]|\u0007|\u001b\[2J|[\u0080-\u009f\u202e]/);
  });

  it("is cancelled by Ctrl-C and by the program's signal", async () => {
    const { ask, keyboard, stderr, controller } = terminal();
    const first = ask.confirm({ message: "Sure?" });
    await stderr.waitFor("Sure?");
    keyboard.write("\u0003");
    await expect(first).rejects.toMatchObject({ code: "cancelled" });
    const second = ask.confirm({ message: "Really?" });
    await stderr.waitFor("Really?");
    controller.abort();
    await expect(second).rejects.toMatchObject({ code: "cancelled" });
    await expect(ask.text({ message: "Again?" })).rejects.toMatchObject({ code: "cancelled" });
  });

  it("leaves no listener on the program's signal, however many questions there are", async () => {
    const { ask, keyboard, stderr, controller } = terminal();
    for (let round = 0; round < 12; round += 1) {
      const answer = ask.confirm({ message: `Round ${round}?` });
      await stderr.waitFor(`Round ${round}?`);
      keyboard.write("\r");
      await answer;
    }
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  it("breaks long lines between words, and none elsewhere", () => {
    const { tell, stderr } = terminal(30);
    tell.info("one two three four five six seven eight\n  kept  as  it  is\nhttps://host.example/a-very-long-address");
    expect(stderr.text).toContain("one two three four five\n");
    expect(stderr.text).toContain("six seven eight\n");
    expect(stderr.text).toContain("  kept  as  it  is\n");
    expect(stderr.text).toContain("https://host.example/a-very-long-address\n");
  });

  it("shows what is waited for only when it takes a moment, and takes it away again", async () => {
    const { tell, stderr, clock } = terminal();
    await tell.work("Looking", async () => clock.advance(100));
    expect(stderr.text).toBe("");
    await tell.work("Looking", async () => clock.advance(1_250));
    expect(stderr.text).toContain("Looking … 0.2 s");
    expect(stderr.text).toContain("Looking … 1.2 s");
    expect(stderr.text.endsWith("\r\u001b[2K")).toBe(true);
    expect(clock.pendingTimers).toBe(0);
  });
});
