/** The agent alone: the package's own door loads a whole second `fetch`, web sockets and a cache before it. */
declare module "undici/lib/dispatcher/agent.js" {
  import { Agent } from "undici";
  export = Agent;
}
