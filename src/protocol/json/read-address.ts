import { ZephError } from "../../errors/zeph-error.ts";
import { parseAddress } from "../address.ts";
import { type Reader, readText, unreadable } from "./read-value.ts";

/** Reads an address a server wrote: as {@link parseAddress}, but a fault is the server's, so `bad_response`. */
export function readAddress(prefix: string): Reader<string> {
  return (value, place) => {
    const text = readText(value, place);
    try {
      return parseAddress(text, { prefix });
    } catch (error) {
      if (ZephError.is(error) && error.code === "invalid_address") {
        throw unreadable(place, `is not an address: ${error.detail}`);
      }
      throw error;
    }
  };
}
