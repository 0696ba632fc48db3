// The adapters may not reach into transport; these are all they need of it.

export { errorBehind, errorResponse } from "../transport/give-up.ts";
export { bearerFor } from "../transport/send-bearer.ts";
