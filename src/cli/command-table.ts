import type { RunCommand } from "../base/world.ts";

/** What is told of an option; a fixed choice of values where there is one. */
type OptionWords = string | { readonly about: string; readonly choices: readonly string[] };

/** One command. Its key is how it is written: words, then arguments. What it does is in `program.ts`, by its words. */
export interface CommandEntry {
  readonly about: string;
  /** What is told of each argument. */
  readonly args?: Readonly<Record<string, string>>;
  /** By how they are written; `...` at the end: repeatable. */
  readonly options?: Readonly<Record<string, OptionWords>>;
  readonly examples?: string;
  readonly alias?: string;
  /** Runs when only its group is named. */
  readonly isDefault?: boolean;
  readonly isHidden?: boolean;
}

/** Every command takes these, before or after its name. */
export const GLOBAL_OPTIONS = {
  "--config <path>": "config file to use instead of the usual ones",
  "--vault <backend>": "where secrets are: age (default) or env",
  "--vault-key <path>": "key file of the vault",
  "--vault-path <path>": "the vault itself",
  "--json": "print one JSON object on standard output",
  "--verbose": "tell more on standard error",
  "--non-interactive": "never ask anything",
  "--color <when>": { about: "colour", choices: ["auto", "always", "never"] },
} as const satisfies CommandEntry["options"];

/** Answered by the program itself: of every command, and of none. */
export const HELP_OPTION = { "-h, --help": "show this help" };
export const VERSION_OPTION = { "-V, --version": "print the version" };

export const GROUPS: Readonly<Record<string, string>> = {
  chats: "look at, rename, delete and export the conversations that were kept",
  config: "look at and change the configuration",
  vault: "keep secrets in an age-encrypted vault",
  gonka: "look at the network, and at requests signed with your own key",
  devshard: "pay the network from an escrow of your own: check, open, look, settle",
};

const PROVIDER = { "--provider <name>": "a configured provider; default the default one" } as const;

const CHAT = {
  args: { prompt: "the question; joined with what comes on standard input" },
  options: {
    "-m, --model <id>": "model to use; `zeph models` lists them",
    "-p, --provider <name>": "configured provider to use",
    "-s, --system <text>": "instruction to the model",
    "-f, --file <path>...": "a text that goes with the question (repeatable)",
    "-a, --attach <file>...": "an image that goes with it, for models that take them (repeatable)",
    "-t, --template <name>": "put the question into a template; `zeph templates` lists them",
    "-c, --continue": "go on with the conversation that was kept last",
    "--load <id>": "go on with another one; `zeph chats` lists them",
    "--private": "do not keep this conversation",
    "--max-tokens <number>": "longest answer",
    "--temperature <number>": "0 to 2",
    "--top-p <number>": "0 to 1; look only at the most likely words",
    "--frequency-penalty <number>": "-2 to 2; above 0 repeats less",
    "--presence-penalty <number>": "-2 to 2; above 0 changes the subject more",
    "--no-stream": "wait for the whole answer",
    "--hide-reasoning": "do not show the model's thinking",
    "--debug-dump <folder>": "write each request there as JSON, without keys and known secrets",
  },
} as const;

const KEPT = { id: "its id, the beginning of one, a part of the title, or last" } as const;

const MIGRATE = {
  about: "bring a file of Zeph or of an older zeph to today's form",
  options: {
    "--diff": "print what would change, instead of the whole result",
    "--in-place": "write the file; the old one is kept beside it",
  },
} as const;

const DOCTOR = {
  "--timeout-secs <seconds>": "for each check; default 10",
  "--provider <name>": "the provider a chat would use; default the default one",
  "--smoke": "also send one paid request of one token",
  "--fix": "mend what can be mended, after a yes",
  "--strict": "warnings count as failures",
  "--bundle <file>": "write a report without secrets, to attach to a bug",
  "-y, --yes": "yes to every question of --fix",
} as const;

const NODE = {
  "--source-url <url>": "the node to ask; default the configured one",
  "--provider <name>": "the native provider whose network it is",
} as const;

const CHAIN = {
  "--source-url <url>": "the node to ask; default the configured one",
  "--provider <name>": "the native provider whose key and network it is",
} as const;

const ESCROW = { id: "its number" } as const;
const YES = { "-y, --yes": "do not ask" } as const;
const AGENTS = "Agents: claude, codex, opencode, qwen, pi, cline, continue, kilo, aider, crush";

/** All commands, in the order of the help. */
export const COMMANDS = {
  init: {
    about: "set up: access, key, model, and a first reply",
    options: {
      "-y, --yes": "ask nothing; what is missing is an error",
      "--path <path>": "gateway (a broker's key) or native (signed requests)",
      "--broker <id>": "broker to use; `zeph providers --brokers` lists them",
      "--base-url <url>": "any OpenAI-compatible endpoint",
      "--model <id>": "model to use, or auto for the first that fits",
      "--name <name>": "name of the provider in the config",
      "--key-stdin": "read the key from standard input",
      "--key-env <name>": "take the key from this environment variable",
      "--full": "also ask for the settings that have a good default",
      "--no-test": "send no test message",
      "-o, --output <path>": "config file to write",
      "--default": "make it the default provider",
      "--no-default": "leave the default provider as it is",
      "--force": "replace a stored key, or a config that cannot be read, without asking",
      "--source-url <url>": "native: a node to find the others from",
      "--node <url[,address]>...": "native: a node to use (repeatable)",
      "--key-name <name>": "native: take this key from inferenced",
      "--keyring-backend <backend>": "native: keyring backend of inferenced",
      "--keyring-home <path>": "native: home folder of inferenced",
      "--prefix <prefix>": "native: address prefix of the network; default gonka",
      "--expect-address <address>": "native: refuse a key of another address",
    },
    examples: `Examples:
  zeph init                                                     in the terminal: three questions
  zeph init --yes --broker gonkagate --key-stdin --model auto < key.txt
  zeph init --yes --path native --source-url http://127.0.0.1:8000 --key-stdin < key.hex`,
  },
  "chat [prompt...]": { about: "talk in the terminal; with words, as ask does", ...CHAT },
  "ask [prompt...]": { about: "one question, one answer; only the answer on standard output", ...CHAT },
  templates: { about: "list the templates that `zeph ask -t` takes" },
  "compare <question> [targets...]": {
    about: "ask two or three models or brokers the same, and see who is quick, cheap and able",
    args: {
      question: "what to ask",
      targets: "PROVIDER/MODEL, PROVIDER, or a model; default the models of your providers",
    },
    options: { "-m, --model <id>...": "the same (repeatable)", "--answers": "print the answers too" },
  },
  "chats list [words...]": {
    about: "list them, newest first; with words, those that hold all of them",
    args: { words: "words to look for" },
    options: { "--limit <number>": "most that are shown; default 30" },
    isDefault: true,
  },
  "chats show <id>": { about: "show the whole conversation", args: KEPT },
  "chats rename <id> <title...>": { about: "give it another title", args: { ...KEPT, title: "the title" } },
  "chats delete [ids...]": {
    about: "delete conversations for good; there is no backup",
    args: { ids: KEPT.id },
    options: { "--all": "all of them", ...YES },
    alias: "rm",
  },
  "chats export <id>": {
    about: "write it as Markdown or JSON",
    args: KEPT,
    options: {
      "--format <format>": { about: "default what the file's ending says", choices: ["markdown", "json"] },
      "-o, --output <file>": "a new file; default standard output",
    },
  },
  usage: {
    about: "tokens, cost, errors and times by day, provider, model and client, from this computer's own ledger",
    options: {
      "--by <step>": "hour, day or month; default day",
      "--days <number>": "how many days, today included; default 30, by hour 2, by month 400",
      "--csv": "a line for each day, provider, model and client, for a spreadsheet",
    },
  },
  models: {
    about: "list what the provider offers now, with context length and prices",
    options: PROVIDER,
  },
  providers: {
    about: "list the configured providers",
    options: { "--brokers": "list the brokers zeph knows, with their sign-up pages" },
  },
  "config show": {
    about: "print every value in force; keys are masked",
    options: { "--origin": "say where each value comes from" },
  },
  "config path": { about: "print where the configuration is read from and written to" },
  "config set <key> <value>": {
    about: "set the model of a provider, or the default provider",
    args: { key: "model or provider", value: "a model id, or a provider's name" },
    options: { "--provider <name>": "whose model; default the default provider's" },
  },
  "config trust [path]": {
    about: "agree to the config file of a folder, with the content it has now",
    args: { path: "the file; default the one of this folder" },
    options: {
      "--list": "print the files that were agreed to or refused",
      "--revoke": "take the answer back",
    },
  },
  "config migrate": MIGRATE,
  // The name of the command in Zeph.
  "migrate-config": { ...MIGRATE, about: "", isHidden: true },
  "vault init": {
    about: "make a key file and an empty vault",
    options: {
      "--force": "replace a vault that is there; both files are kept as backups",
      "--protect": "protect the key file with a passphrase",
      "-y, --yes": "stand for the typed confirmation of --force",
    },
  },
  "vault set <name> [value]": {
    about: "store a secret, from a hidden prompt or standard input",
    args: {
      name: "name of the secret, e.g. ZEPH_COMPATIBLE_GONKAGATE_API_KEY",
      value: "refused: the shell history would keep it",
    },
    options: {
      "--stdin": "read the value from standard input",
      "--force": "replace a value that is there",
    },
  },
  "vault get <name>": { about: "print a secret, and nothing else", args: { name: "name of the secret" } },
  "vault list": { about: "print the names of all secrets" },
  "vault rm <name>": { about: "remove a secret; a backup is kept", args: { name: "name of the secret" } },
  "vault bind <name> <origins...>": {
    about: "say where a key may be sent, when that has changed",
    args: {
      name: "name of the secret, or of a variable that holds the key",
      origins: "the address it is for, e.g. https://api.example.com",
    },
  },
  "vault check": { about: "say what is wrong with the vault and how to mend it" },
  "vault restore [backup]": {
    about: "list earlier states of the vault and its key with their dates, or bring one back",
    args: { backup: "number in the list, or name, of the state to bring back; what is there now is kept" },
  },
  "vault passphrase": {
    about: "protect the key file with a passphrase, change it, or take it away; a backup is kept",
    options: {
      "--stdin": "read the new passphrase from standard input",
      "--remove": "take the passphrase away",
    },
  },
  "vault import [file]": {
    about: "take over keys from a .env file, or from known variables and the config",
    args: { file: "a .env file; without it, known variables of the environment and keys in the config" },
    options: {
      ...YES,
      "--force": "replace values that are there",
      "--move": "also take the keys out of the config; a copy of it is kept",
    },
  },
  doctor: { about: "say whether a chat would work, and what to do if not", options: DOCTOR },
  "explain [id]": {
    about: "tell the story of the last failed request, or what an error code means",
    args: { id: "of another one: its own id, or the request id of the server; or an error code" },
    options: { "--last": "the last one, which is the default" },
  },
  "gonka doctor": { about: "say whether signed requests would work", options: DOCTOR },
  "gonka status": { about: "version, chain, epoch, and who may ask whom", options: NODE },
  "gonka models": { about: "what the network serves now, with its own prices", options: NODE },
  "gonka participants": { about: "the hosts of this epoch, and how far the list is proven", options: NODE },
  "gonka account [address]": {
    about: "an account's balance and public key",
    args: { address: "default: the address of your key" },
    options: NODE,
  },
  "gonka pricing": { about: "what a token of each model costs on the network", options: NODE },
  // For debugging, with the words of `inferenced signature`.
  "gonka sign": {
    about: "sign the body of a request with your key, and send nothing",
    options: {
      "--file <path>": "the body, byte for byte; default standard input",
      "--endpoint-account <address>": "the node it is for; default the first configured one",
      "--timestamp <nanoseconds>": "since 1970; default now",
      "--provider <name>": "whose key; default the native provider",
    },
  },
  "gonka verify": {
    about: "say whether a node would accept a signature",
    options: {
      "--file <path>": "the body, byte for byte; default standard input",
      "--signature <text>": "what Authorization would say",
      "--endpoint-account <address>": "the node it is for",
      "--timestamp <nanoseconds>": "what X-Timestamp would say",
      "--account-address <address>": "who signed; default your own key's",
      "--public-key <base64>": "the signer's; default what the network has published",
      ...NODE,
    },
  },
  "devshard check": {
    about: "say whether your key may open escrows, and what is missing",
    options: { ...CHAIN, "-m, --model <id>": "the model to look for; default the provider's" },
  },
  "devshard open": {
    about: "put GNK into a new escrow for one model; asks once",
    options: {
      ...CHAIN,
      "-m, --model <id>": "the model it pays for; default the provider's",
      "--amount <gnk>": "how much, such as 5 or 2.5; default devshard_amount, or the least",
      "--another": "also when there is one for this model already",
      ...YES,
    },
  },
  "devshard status [id]": {
    about: "your open escrows, or everything about one",
    args: { id: "its number; default all that are open" },
    options: CHAIN,
  },
  "devshard close [id]": {
    about: "finalize and settle an escrow; what was not used comes back",
    args: { id: "its number; default the one that is open" },
    options: { ...CHAIN, ...YES },
  },
  "devshard rescue <id>": {
    about: "settle an escrow whose journal is lost, damaged or behind, from what its hosts have",
    args: ESCROW,
    options: { ...CHAIN, ...YES },
  },
  "devshard audit <id>": {
    about: "recompute any escrow from its hosts: costs, misses, signatures, who disagrees; no key needed",
    args: ESCROW,
    options: {
      ...CHAIN,
      "--host <url...>": "ask these instead of the hosts that the chain names",
      "--protocol <version>": "v3 or v4; default what the hosts are bound to",
    },
  },
  "completion [shell]": {
    about: "print the script that makes your shell complete zeph's commands",
    args: { shell: "bash, zsh, fish or powershell; default what $SHELL says" },
  },
  serve: {
    about: "an OpenAI- and Anthropic-compatible endpoint on this computer, for other programs",
    options: {
      "-p, --port <number>": "port; 0 takes any free one (default 8424)",
      "--host <address>": "address to listen on (default 127.0.0.1)",
      ...PROVIDER,
      "-m, --model <id>": "model for requests that name none",
      "--alias <name=id>...": "another name for a model; may be given more than once",
      "--no-auth": "ask for no key; on this computer only",
      "--show-key": "print the key although it is not new",
      "--cors <origin>...": "let web pages of this origin call; may be given more than once",
      "--allow-host <name>...": "another name clients may use for this computer, e.g. host.docker.internal",
      "--always-stream": "ask the provider for streams only; whole answers are put together here",
      "--no-clean-up": "send requests as they come, without making them fit the network's rules",
      "--no-page": "no page for a browser",
      "--demo": "show the page with a sandbox behind it; nothing of yours is read or written",
      "--quiet": "no line per request",
      "--workers <number>": "processes that share the port, for those who share the endpoint (default 1)",
      "--store <address>": "where ledger, daily limit and kept answers are: file (default), or redis://HOST:PORT",
      "--store-lost <rule>": "when a daily limit is set and the shared store is lost: refuse (default) or pass",
    },
    examples: `Examples:
  zeph serve                                    then set the client's base URL to http://127.0.0.1:8424/v1
  zeph serve --alias gpt-4o=ID                  for a client whose model names are fixed
  zeph serve --alias 'claude-*=ID'              for every name that begins so
  zeph serve --cors http://localhost:3000       for a web page of yours`,
  },
  open: {
    about: "open the page of a running `zeph serve` in the browser",
    options: { "-p, --port <number>": "of several, the one on this port", "--print": "print the link, open nothing" },
  },
  "launch [agent] [args...]": {
    about: "start a coding agent on your provider, with nothing to configure",
    args: { agent: "which one; default asks", args: "arguments of the agent, behind --" },
    options: { ...PROVIDER, "-m, --model <id>": "model; default the provider's" },
    examples: `${AGENTS}

Examples:
  zeph launch                          a menu of the agents that are installed
  zeph launch claude                   Claude Code on your provider
  zeph launch codex -- exec "fix it"   what stands behind -- goes to the agent`,
  },
  "connect <agent>": {
    about: "set a coding agent up for `zeph serve`, for good",
    args: { agent: "which one" },
    options: {
      ...PROVIDER,
      "-m, --model <id>": "model; default the provider's",
      "--dry-run": "show what would be written, and write nothing",
      "--undo": "take back what was written",
      "--no-check": "send no request to see whether it works",
      "-y, --yes": "write without asking",
    },
    examples: `${AGENTS}

Examples:
  zeph connect claude --dry-run   what would be written, and where
  zeph connect claude             writes it; claude then uses \`zeph serve\`
  zeph connect claude --undo      everything as it was before`,
  },
  sandbox: {
    about: "run a fake broker on this computer, to try zeph without an account",
    options: {
      "--port <number>": "port to listen on; default any free one",
      "--network": "also run nodes that verify signed requests, with a funded account",
      "--devshard": "also run devshard hosts and their chain, with an account that may open escrows",
      "--pace <tokens>": "tokens per second of the built-in engine; 0 for all at once",
      "--fault <name>...": "play a fault on every request (repeatable)",
    },
  },
} as const satisfies Readonly<Record<string, CommandEntry>>;

type Table = typeof COMMANDS;
type WordsOf<Usage> = Usage extends `${infer Words} <${string}`
  ? WordsOf<Words>
  : Usage extends `${infer Words} [${string}`
    ? WordsOf<Words>
    : Usage;

/** The commands by their words, such as `vault set`. */
export type CommandWords = WordsOf<keyof Table>;
type UsageOf<Words> = { [Usage in keyof Table]: WordsOf<Usage> extends Words ? Usage : never }[keyof Table];

/** What a command of the table is given: its arguments and its options, by their names. */
export type Flags<Words extends CommandWords> = ArgumentsOf<UsageOf<Words>> &
  OptionsOf<Table[UsageOf<Words>] extends { readonly options: infer Options } ? Options : unknown>;

/** The work of a command of the table. */
export type Run<Words extends CommandWords> = RunCommand<Flags<Words>>;

export type GlobalFlags = OptionsOf<typeof GLOBAL_OPTIONS> & { readonly yes?: boolean };

type ArgumentsOf<Usage> = Usage extends `${infer Word} ${infer Rest}`
  ? Argument<Word> & ArgumentsOf<Rest>
  : Argument<Usage>;
type Argument<Word> = Word extends `<${infer Name}...>`
  ? { readonly [Key in Name]: readonly string[] }
  : Word extends `<${infer Name}>`
    ? { readonly [Key in Name]: string }
    : Word extends `[${infer Name}...]`
      ? { readonly [Key in Name]?: readonly string[] }
      : Word extends `[${infer Name}]`
        ? { readonly [Key in Name]?: string }
        : unknown;

type OptionsOf<Options> = {
  readonly [Written in keyof Options as FlagName<Written>]?: Written extends `${string}...${string}`
    ? readonly string[]
    : Written extends `${string}<${string}`
      ? string
      : boolean;
};
/** `--top-p <number>` is `topP`; `--no-stream` is `stream`, which it makes false. */
type FlagName<Written> = Written extends `${string}--${infer Name} <${string}`
  ? Camel<Name>
  : Written extends `${string}--no-${infer Name}`
    ? Camel<Name>
    : Written extends `${string}--${infer Name}`
      ? Camel<Name>
      : never;
type Camel<Name extends string> = Name extends `${infer First}-${infer Rest}`
  ? `${First}${Capitalize<Camel<Rest>>}`
  : Name;
