/** The one seam of zeph: what a client calls, and what a server is. Same shape as the global `fetch`. */
export type FetchFunction = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
