// The adapters may not reach into transport; these two are all they need of it.
export { errorBehind, errorResponse } from "../transport/give-up.ts";
