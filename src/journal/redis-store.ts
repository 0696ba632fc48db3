import type { createClient } from "redis";
import type { KeptTexts } from "../base/kept-texts.ts";
import { type Secret, scrub } from "../base/secret.ts";
import type { Clock } from "../base/time.ts";
import { ZephError } from "../errors.ts";
import { type Spent, toLine } from "./budget.ts";
import { parseSpending, type SpendingLine, sumHours, timeOf } from "./ledger.ts";
import { type EndpointStore, fitsLimit, reservationError, toNanoUsd } from "./store.ts";

/*
 * What copies of an endpoint share, on a server that speaks Redis' protocol. All keys begin with "zeph:". Money is in whole
 * parts of 10⁻⁹ US dollars; days are those of UTC, so that copies in different places mean the same.
 *
 *   zeph:spent:DAY     what is spent on that day
 *   zeph:held          copy → what its requests under way hold of the limit
 *   zeph:alive:COPY    goes after half a minute without a sign of life; what the copy held is then free
 *   zeph:batch:ID      a settlement that was done: the same one again changes nothing
 *   zeph:use:HOUR      the ledger, by hours since 1970 for 15 days; zeph:use:DAY by days for 401
 *   zeph:text:ID, zeph:name:NAME   answers that can be referred to, for a day
 */

/** What happens to a request while the store is lost. */
type WhenLost = "refuse" | "pass";

interface RedisStoreOptions {
  readonly address: StoreAddress;
  readonly password: Secret | undefined;
  /** US cents for one day; 0 means no limit. */
  readonly maxDailyCents: number;
  /**
   * `refuse`: nothing that costs money leaves while a limit is set and the store is lost. `pass`: each copy goes on alone,
   * within the limit as far as it knows.
   */
  readonly whenLost: WhenLost;
  readonly clock: Pick<Clock, "nowMs" | "schedule">;
  /** A name that no other copy has. */
  readonly copy: string;
  /** Told when the store is lost, and when it is back. */
  readonly tell: (words: string) => void;
}

/** Where a store is: without a password, which is no part of an address that people see. */
interface StoreAddress {
  readonly host: string;
  readonly port: number;
  readonly user: string | undefined;
  readonly database: number;
  readonly isEncrypted: boolean;
}

/** `redis://[user@]host[:port][/database]`, `rediss://` for TLS. Throws `usage` for anything else, and for a password in it. */
export function parseStoreAddress(text: string): StoreAddress {
  const refuse = (detail: string) =>
    new ZephError("usage", {
      detail,
      hint: "Such as --store redis://127.0.0.1:6379, with its password in ZEPH_STORE_PASSWORD.",
    });
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && url.password !== "") {
    throw refuse("the address of the store holds a password, which other users of this computer could see");
  }
  const database = /^\/?(\d{0,4})$/.exec(url?.pathname ?? "-")?.[1];
  const isRedis = url?.protocol === "redis:" || url?.protocol === "rediss:";
  if (url === undefined || !isRedis || url.hostname === "" || database === undefined || url.search + url.hash !== "") {
    throw refuse("--store takes file, or redis://HOST:PORT");
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? 6379 : Number(url.port),
    user: url.username === "" ? undefined : decodeURIComponent(url.username),
    database: Number(database),
    isEncrypted: url.protocol === "rediss:",
  };
}

const GATHER_MS = 250;
const HEARTBEAT_MS = 10_000;
const ALIVE_SECONDS = 30;
const ANSWER_WAIT_MS = 1_500;
const MOST_RECONNECT_MS = 2_000;

/** Opens the shared store. One that cannot be reached is told and tried again. Throws `usage` where the package is missing. */
export async function redisStore(options: RedisStoreOptions): Promise<EndpointStore> {
  const { maxDailyCents, whenLost, clock, copy, tell } = options;
  const limit = maxDailyCents * 1e7;
  const client = await openClient(options);
  /** By request: what it holds, and whether the store knows. */
  const held = new Map<string, { readonly nano: number; readonly isShared: boolean }>();
  let waiting: Waiting = NOTHING_WAITING;
  let unsent: Batch[] = [];
  let sending: Promise<void> | undefined;
  let underWay = 0;
  let batches = 0;
  /** What is spent today as far as this copy knows; a store that has forgotten is told. */
  let known = { day: "", nano: 0 };
  let isLost = false;
  const cancels = new Set<() => void>();

  const dayNow = () => utcDay(clock.nowMs());
  const sharedHeld = () => [...held.values()].reduce((sum, { nano, isShared }) => sum + (isShared ? nano : 0), 0);
  /** Settled, and still held as far as the store knows. */
  const unreleased = () => [waiting, ...unsent].reduce((sum, { releasedNano }) => sum + releasedNano, 0);
  const ownHeld = () => [...held.values()].reduce((sum, { nano }) => sum + nano, 0);
  const knownNano = () => (known.day === dayNow() ? known.nano : 0);
  const learn = (day: string, nano: number) => {
    if (day > known.day) known = { day, nano };
    else if (day === known.day) known = { day, nano: Math.max(known.nano, nano) };
  };

  function notice(lost: boolean, error?: unknown): void {
    if (lost === isLost) return;
    isLost = lost;
    const place = `${options.address.host}:${options.address.port}`;
    const meanwhile =
      maxDailyCents <= 0
        ? "requests pass, and are noted when it is back"
        : whenLost === "refuse"
          ? "requests are refused until it is back"
          : "this copy goes on alone, within the daily limit as far as it knows";
    tell(
      lost
        ? `The shared store at ${place} is lost (${reasonOf(error)}): ${meanwhile}`
        : `The shared store at ${place} is there again`,
    );
  }

  /** Runs a command. Rejects when the store is not there, or does not answer in time: it may then have been done or not. */
  async function command<T>(run: () => Promise<T>): Promise<T> {
    if (!client.isReady) throw new Error("not connected");
    let cancel = () => {};
    const late = new Promise<never>((_, reject) => {
      cancel = clock.schedule(ANSWER_WAIT_MS, () => reject(new Error("no answer")));
    });
    underWay += 1;
    try {
      const answer = await Promise.race([run(), late]);
      notice(false);
      return answer;
    } catch (error) {
      notice(true, error);
      throw error;
    } finally {
      underWay -= 1;
      cancel();
    }
  }

  const evaluate = (script: string, keys: readonly string[], given: readonly (string | number)[]) =>
    command(() => client.eval(script, { keys: [...keys], arguments: given.map(String) }));

  function passAlone(requestId: string, wanted: number, isGuess: boolean): void {
    const unsettled = [waiting, ...unsent].reduce((sum, { costNano }) => sum + costNano, 0);
    const amounts = { spent: knownNano() + unsettled, held: ownHeld(), wanted };
    if (!fitsLimit(amounts, { limit, isGuess })) throw reservationError(amounts, maxDailyCents);
    held.set(requestId, { nano: wanted, isShared: false });
  }

  async function sendWaiting(): Promise<void> {
    if (waiting.lines.length > 0 || waiting.releasedNano > 0) {
      batches += 1;
      unsent.push({ ...waiting, id: `${copy}-${batches}` });
      waiting = NOTHING_WAITING;
    }
    while (unsent[0] !== undefined) {
      const batch = unsent[0];
      const [day = "", spent] = (await evaluate(
        SETTLE,
        [`zeph:batch:${batch.id}`],
        settlement(batch, copy, knownNano()),
      )) as [string, number];
      learn(day, Number(spent));
      unsent = unsent.slice(1);
    }
  }

  /** One at a time: what was not answered goes first, and again as the same batch. */
  function flush(): Promise<void> {
    sending ??= sendWaiting()
      .catch(() => {
        // Kept; the next heartbeat, answer or connection sends it again.
      })
      .finally(() => {
        sending = undefined;
      });
    return sending;
  }

  function later(delayMs: number, work: () => void): void {
    const cancel = clock.schedule(delayMs, () => {
      cancels.delete(cancel);
      work();
    });
    cancels.add(cancel);
  }

  /** Says that this copy lives, and what it holds in truth, where nothing is on its way that would change it. */
  async function heartbeat(): Promise<void> {
    const truth = underWay === 0 ? sharedHeld() + unreleased() : "";
    await evaluate(HEARTBEAT, [`zeph:alive:${copy}`, "zeph:held"], [copy, ALIVE_SECONDS, truth]).catch(() => {});
    await flush();
  }
  function beat(): void {
    void heartbeat();
    later(HEARTBEAT_MS, beat);
  }

  client.on("error", (error) => notice(true, error));
  client.on("ready", () => {
    notice(false);
    void heartbeat();
  });
  await Promise.race([
    client.connect().catch(() => {}),
    new Promise<void>((resolve) => later(ANSWER_WAIT_MS, resolve)),
  ]);
  if (!client.isReady) notice(true);
  later(HEARTBEAT_MS, beat);

  return {
    isLimited: maxDailyCents > 0,
    async reserve(requestId, { usd, isGuess }) {
      if (maxDailyCents <= 0 || held.has(requestId)) return;
      const wanted = toNanoUsd(usd);
      const day = dayNow();
      const given = [copy, wanted, limit, isGuess ? 1 : 0, ALIVE_SECONDS, knownNano()];
      const keys = [`zeph:spent:${day}`, "zeph:held", `zeph:alive:${copy}`];
      const answer = await evaluate(RESERVE, keys, given).catch(() => undefined);
      if (answer === undefined) {
        if (whenLost === "pass") return passAlone(requestId, wanted, isGuess);
        throw new ZephError("service_unavailable", {
          detail:
            "the store that the copies of this endpoint share cannot be reached, and the daily limit is kept there",
          hint: "Try again when it is back. `zeph serve --store-lost pass` lets each copy go on alone meanwhile.",
          retryAfterMs: 2_000,
        });
      }
      const [isHeld, spent, heldByAll] = (answer as readonly unknown[]).map(Number);
      learn(day, spent ?? 0);
      if (isHeld !== 1) throw reservationError({ spent: spent ?? 0, held: heldByAll ?? 0, wanted }, maxDailyCents);
      held.set(requestId, { nano: wanted, isShared: true });
    },
    settle(requestId, spent) {
      const reservation = held.get(requestId);
      held.delete(requestId);
      if (reservation === undefined && spent === undefined) return;
      const before = waiting;
      waiting = withSettled(before, reservation?.isShared === true ? reservation.nano : 0, spent, clock.nowMs());
      if (before === NOTHING_WAITING) later(GATHER_MS, () => void flush());
    },
    responses: keptTexts(client, command),
    async lines() {
      await flush();
      return readLines(client, clock.nowMs());
    },
    flush,
    async close() {
      await flush();
      for (const cancel of cancels) cancel();
      const left = [waiting, ...unsent].reduce((sum, { lines }) => sum + lines.length, 0);
      if (left > 0) tell("Some requests could not be noted in the shared store: it is lost");
      await command(() => client.multi().hDel("zeph:held", copy).del(`zeph:alive:${copy}`).exec()).catch(() => {});
      client.destroy();
    },
  };
}

type Client = ReturnType<typeof createClient>;

async function openClient({ address, password }: RedisStoreOptions): Promise<Client> {
  const { createClient } = await import("redis").catch((cause: unknown) => {
    throw new ZephError("usage", {
      detail: "--store redis://… needs the package redis, which is not installed",
      hint: "Install it beside zeph: npm install redis",
      cause,
    });
  });
  const { host, port, user, database, isEncrypted } = address;
  const place = { host, port, connectTimeout: ANSWER_WAIT_MS, reconnectStrategy: reconnectDelayMs };
  return createClient({
    socket: isEncrypted ? { ...place, tls: true } : place,
    database,
    // A command that cannot be sent now must not be sent later: the request it belongs to has been answered by then.
    disableOfflineQueue: true,
    RESP: 2,
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password: password.reveal() }),
  }) as Client;
}

/** Such as `ECONNREFUSED`, or the server's own words: never the password, which no error of the client holds. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "not connected";
  return "code" in error && typeof error.code === "string" ? error.code : scrub(error.message.slice(0, 120));
}

function reconnectDelayMs(retries: number): number {
  return Math.min(50 * 2 ** Math.min(retries, 10), MOST_RECONNECT_MS);
}

/** Gathered until it is sent. */
interface Waiting {
  readonly releasedNano: number;
  readonly costNano: number;
  readonly lines: readonly (SpendingLine & { readonly epochHour: number })[];
}

/** Sent as one, once; with the same id again where nobody knows whether it arrived. */
interface Batch extends Waiting {
  readonly id: string;
}

const NOTHING_WAITING: Waiting = { releasedNano: 0, costNano: 0, lines: [] };

function withSettled(before: Waiting, releasedNano: number, spent: Spent | undefined, nowMs: number): Waiting {
  const epochHour = Math.floor(nowMs / HOUR_MS);
  const lines = spent === undefined ? before.lines : [...before.lines, { ...toLine(spent, nowMs), epochHour }];
  return {
    releasedNano: before.releasedNano + releasedNano,
    costNano: before.costNano + toNanoUsd(spent?.usd ?? 0),
    lines: lines.length > MOST_LINES_WAITING ? summed(lines) : lines,
  };
}

const MOST_LINES_WAITING = 500;
const HOUR_MS = 3_600_000;

/** Lines of one hour, provider, model and client are one. */
function summed(lines: Waiting["lines"]): Waiting["lines"] {
  return [...new Set(lines.map(({ epochHour }) => epochHour))].flatMap((epochHour) =>
    sumHours(lines.filter((line) => line.epochHour === epochHour)).map((line) => ({ ...line, epochHour })),
  );
}

/** What {@link SETTLE} is given. */
function settlement(batch: Batch, copy: string, knownNano: number): readonly (string | number)[] {
  const rows = summed(batch.lines).map((line) => {
    const { answers, errors, inputTokens = 0, outputTokens = 0, usd, ngonka = 0n, answersOfUnknownCost, took } = line;
    const [first = 0, ...counts] = took ?? [];
    const fields = {
      ...{ a: answers, e: errors, i: inputTokens, o: outputTokens, x: answersOfUnknownCost },
      ...{ u: usd === undefined ? undefined : toNanoUsd(usd), g: ngonka.toString() },
      ...Object.fromEntries(counts.map((count, index) => [`t${first + index}`, count])),
    };
    const name = JSON.stringify([line.provider ?? null, line.model ?? null, line.client ?? null]);
    const known = Object.entries(fields).filter(([, value]) => value !== undefined && String(value) !== "0");
    return {
      hour: String(line.epochHour),
      day: utcDay(line.epochHour * HOUR_MS),
      name,
      fields: known.map(([field, value]) => [field, String(value)]),
    };
  });
  // By days: a batch that waited over midnight belongs to both.
  const costs = new Map<string, number>();
  for (const { epochHour, usd = 0 } of batch.lines) {
    const day = utcDay(epochHour * HOUR_MS);
    costs.set(day, (costs.get(day) ?? 0) + toNanoUsd(usd));
  }
  const today = batch.lines.at(-1)?.epochHour;
  const day = today === undefined ? "" : utcDay(today * HOUR_MS);
  return [
    copy,
    String(batch.releasedNano),
    JSON.stringify([...costs].map(([of, nano]) => [of, String(nano)])),
    JSON.stringify(rows),
    day,
    knownNano,
  ];
}

/** `2026-11-28` in UTC. */
function utcDay(nowMs: number): string {
  return new Date(nowMs).toISOString().slice(0, 10);
}

/**
 * Holds a part of the limit, in one step for all copies. Gives whether, what is spent, and what all hold.
 * KEYS: spent, held, alive. ARGV: copy, wanted, limit, guess, seconds, what the copy knows to be spent.
 */
const RESERVE = `
redis.call('SET', KEYS[3], '1', 'EX', ARGV[5])
local spent = tonumber(redis.call('GET', KEYS[1]) or '0')
if tonumber(ARGV[6]) > spent then
  spent = tonumber(ARGV[6])
  redis.call('SET', KEYS[1], ARGV[6], 'EX', 259200)
end
local held = 0
local all = redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  if redis.call('EXISTS', 'zeph:alive:' .. all[i]) == 1 then held = held + tonumber(all[i + 1])
  else redis.call('HDEL', KEYS[2], all[i]) end
end
local wanted, limit = tonumber(ARGV[2]), tonumber(ARGV[3])
local fits = spent + held + wanted <= limit or (ARGV[4] == '1' and held == 0)
if spent >= limit or not fits then return {0, tostring(spent), tostring(held)} end
redis.call('HINCRBY', KEYS[2], ARGV[1], ARGV[2])
return {1, tostring(spent), tostring(held)}
`;

/**
 * Gives back what was held, and notes what was spent, once. Gives the day and what is spent on it.
 * KEYS: batch. ARGV: copy, released, costs by day, rows of the ledger, day, what the copy knows to be spent on it.
 */
const SETTLE = `
local day = ARGV[5]
if redis.call('SET', KEYS[1], '1', 'NX', 'EX', 172800) then
  if day ~= '' then
    local spent = tonumber(redis.call('GET', 'zeph:spent:' .. day) or '0')
    if tonumber(ARGV[6]) > spent then redis.call('SET', 'zeph:spent:' .. day, ARGV[6]) end
  end
  for _, cost in ipairs(cjson.decode(ARGV[3])) do
    redis.call('INCRBY', 'zeph:spent:' .. cost[1], cost[2])
    redis.call('EXPIRE', 'zeph:spent:' .. cost[1], 259200)
  end
  if ARGV[2] ~= '0' then
    local left = redis.call('HINCRBY', 'zeph:held', ARGV[1], '-' .. ARGV[2])
    if left < 0 then redis.call('HSET', 'zeph:held', ARGV[1], '0') end
  end
  for _, row in ipairs(cjson.decode(ARGV[4])) do
    for _, place in ipairs({{'zeph:use:' .. row.hour, 1296000}, {'zeph:use:' .. row.day, 34646400}}) do
      local key, name = place[1], row.name
      if redis.call('HEXISTS', key, 'n' .. name) == 0 then
        if tonumber(redis.call('HGET', key, '#') or '0') >= 50 then
          local names = cjson.decode(name)
          name = cjson.encode({names[1], 'other', 'other'})
        end
        if redis.call('HSETNX', key, 'n' .. name, '1') == 1 then redis.call('HINCRBY', key, '#', '1') end
      end
      for _, field in ipairs(row.fields) do redis.pcall('HINCRBY', key, field[1] .. name, field[2]) end
      redis.call('EXPIRE', key, place[2])
    end
  end
end
return {day, redis.call('GET', 'zeph:spent:' .. day) or '0'}
`;

/** KEYS: alive, held. ARGV: copy, seconds, what the copy holds or nothing. */
const HEARTBEAT = `
redis.call('SET', KEYS[1], '1', 'EX', ARGV[2])
if ARGV[3] ~= '' then redis.call('HSET', KEYS[2], ARGV[1], ARGV[3]) end
return 1
`;

const TEXT_SECONDS = 24 * 60 * 60;
const MOST_NAME_CHARS = 200;
const MOST_TEXT_CHARS = 8 * 1024 * 1024;

/** Answers, for a day. */
function keptTexts(client: Client, command: <T>(run: () => Promise<T>) => Promise<T>): KeptTexts {
  const read = async (key: string) => (await command(() => client.get(key)).catch(() => undefined)) ?? undefined;
  const isName = (name: string) => name.length <= MOST_NAME_CHARS;
  const get = async (id: string) => (isName(id) ? read(`zeph:text:${id}`) : undefined);
  return {
    put({ id, names, text }) {
      if (!isName(id) || text.length > MOST_TEXT_CHARS) return;
      const all = client.multi().set(`zeph:text:${id}`, text, { EX: TEXT_SECONDS });
      for (const name of names.filter(isName)) all.set(`zeph:name:${name}`, id, { EX: TEXT_SECONDS });
      command(() => all.exec()).catch(() => {});
    },
    get,
    async find(name) {
      const id = isName(name) ? await read(`zeph:name:${name}`) : undefined;
      return id === undefined ? undefined : get(id);
    },
    remove: async (id) => isName(id) && (await command(() => client.del(`zeph:text:${id}`)).catch(() => 0)) > 0,
  };
}

const KEPT_HOURS = 14 * 24;
const KEPT_DAYS = 400;

/** The shared ledger: hours in this computer's time zone for two weeks, before that days of UTC. */
async function readLines(client: Client, nowMs: number): Promise<readonly SpendingLine[]> {
  const now = Math.floor(nowMs / HOUR_MS);
  // Whole days of UTC, so that no hour is told twice.
  const firstHour = Math.floor((now - KEPT_HOURS) / 24) * 24;
  const days = Array.from({ length: KEPT_DAYS }, (_, index) =>
    utcDay((firstHour - 24 * (KEPT_DAYS - index)) * HOUR_MS),
  );
  const hours = Array.from({ length: now - firstHour + 1 }, (_, index) => firstHour + index);
  const steps = [
    ...days.map((day) => ({ key: `zeph:use:${day}`, day, hour: undefined })),
    ...hours.map((hour) => ({ key: `zeph:use:${hour}`, ...timeOf(hour * HOUR_MS) })),
  ];
  const found = await Promise.all(steps.map(({ key }) => client.hGetAll(key)));
  return steps.flatMap(({ day, hour }, index) => linesOf(found[index] ?? {}, { day, hour }));
}

function linesOf(fields: Readonly<Record<string, string>>, time: Pick<SpendingLine, "day" | "hour">) {
  const byName = new Map<string, Record<string, string>>();
  for (const [field, value] of Object.entries(fields)) {
    const [, what = "", name = ""] = /^([a-z]\d*)(\[.*)$/s.exec(field) ?? [];
    if (name !== "") byName.set(name, { ...byName.get(name), [what]: value });
  }
  const text = [...byName].map(([name, { a = "0", e, i, o, u, g, x, ...times }]) => {
    const [provider, model, client] = JSON.parse(name) as readonly unknown[];
    const number = (value: string | undefined) => (value === undefined ? undefined : Number(value));
    const usd = u === undefined ? undefined : Number(u) / 1e9;
    const known = {
      answers: Number(a),
      errors: number(e),
      in: number(i),
      out: number(o),
      usd,
      ngonka: g,
      unknown: number(x),
    };
    return JSON.stringify({ ...time, provider, model, client, ...known, took: tookOfFields(times) });
  });
  // What stands there is checked as a line of the file is.
  return parseSpending(text.join("\n"));
}

function tookOfFields(fields: Readonly<Record<string, string>>): readonly number[] | undefined {
  const counts = Object.entries(fields).flatMap(([what, count]) =>
    /^t\d+$/.test(what) ? [[Number(what.slice(1)), Number(count)] as const] : [],
  );
  if (counts.length === 0) return undefined;
  const intervals = counts.map(([interval]) => interval);
  const [first, last] = [Math.min(...intervals), Math.max(...intervals)];
  const byInterval = new Map(counts);
  return [first, ...Array.from({ length: last - first + 1 }, (_, index) => byInterval.get(first + index) ?? 0)];
}
