import { ZephError } from "../../src/errors/zeph-error.js";
/** The `ZephError` a call throws; any other outcome fails the test. */
export function thrownBy(call) {
    try {
        call();
    }
    catch (error) {
        if (error instanceof ZephError)
            return error;
        throw error;
    }
    throw new Error("nothing was thrown");
}
/** Everything an error could show somewhere: its words, its JSON, its stack. */
export function shownBy(error) {
    return [error.message, error.hint, JSON.stringify(error), error.stack, String(error.cause)].join("\n");
}
