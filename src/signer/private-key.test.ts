import { describe, expect, it } from "vitest";
import { fromHex, signingVectors, toHex } from "../../test/support/signing-vectors.ts";
import { shownBy, thrownBy } from "../../test/support/thrown-by.ts";
import { parsePrivateKey } from "./private-key.ts";

const KEY = "65fdc4cd64c7f63c2a8bf399a0dcee44b2fadc8a8ce34e31c82adc7816f2f87b";

describe("parsePrivateKey", () => {
  it.each(signingVectors.accepted_private_key_spellings)("reads the spelling $why", ({ private_key, same_as }) => {
    expect(toHex(parsePrivateKey(private_key))).toBe(same_as);
  });

  it.each([
    ["blanks around it", ` \t${KEY}\r\n`],
    ["0X and upper case", `0X${KEY.toUpperCase()}`],
    ["base64 of 32 bytes", Buffer.from(KEY, "hex").toString("base64")],
    ["base64 with a final newline", `${Buffer.from(KEY, "hex").toString("base64")}\n`],
  ])("reads %s", (_what, text) => {
    expect(toHex(parsePrivateKey(text))).toBe(KEY);
  });

  it.each(["1", "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140"])(
    "reads the ends of the range: %s",
    (digits) => {
      const padded = digits.padStart(64, "0");
      expect(toHex(parsePrivateKey(padded))).toBe(padded);
    },
  );

  it.each(signingVectors.invalid_private_keys)("refuses $why without repeating it", ({ private_key }) => {
    if (private_key.trim() !== private_key) {
      // "Trim or reject, never echo": we trim.
      expect(toHex(parsePrivateKey(private_key))).toBe(private_key.trim());
      return;
    }
    const error = thrownBy(() => parsePrivateKey(private_key));
    expect(error.code).toBe("invalid_private_key");
    if (private_key !== "") expect(shownBy(error)).not.toContain(private_key.slice(0, 8));
  });

  const base64 = Buffer.from(KEY, "hex").toString("base64");
  it.each([
    ["odd length", KEY.slice(1)],
    ["a blank inside", `${KEY.slice(0, 32)} ${KEY.slice(32)}`],
    ["0x alone", "0x"],
    ["a second 0x", `0x0x${KEY}`],
    ["a minus", `-${KEY.slice(1)}`],
    ["base64 of 31 bytes", Buffer.from(KEY.slice(2), "hex").toString("base64")],
    ["base64 of 33 bytes", Buffer.from(`${KEY}00`, "hex").toString("base64")],
    ["base64 of zero", Buffer.alloc(32).toString("base64")],
    ["unpadded base64", base64.slice(0, -1)],
    ["base64 with stray bits", `${base64.slice(0, -2)}t=`],
    ["URL-safe base64", Buffer.alloc(32, 0xfb).toString("base64url").concat("=")],
    ["full-width digits", "１".repeat(64)],
  ])("refuses %s without repeating it", (_what, text) => {
    const error = thrownBy(() => parsePrivateKey(text));
    expect(error.code).toBe("invalid_private_key");
    if (text.length > 8) expect(shownBy(error)).not.toContain(text.slice(2, 10));
  });

  it.each([undefined, null, 1, {}, fromHex(KEY)])("refuses what is not text: %s", (value) => {
    expect(thrownBy(() => parsePrivateKey(value as string)).code).toBe("invalid_private_key");
  });

  it.each(signingVectors.mnemonic)("tells recovery words apart and says what to do", ({ mnemonic }) => {
    const error = thrownBy(() => parsePrivateKey(`${mnemonic}\n`));
    expect(error.code).toBe("invalid_private_key");
    expect(error.hint).toContain("--recover");
    expect(shownBy(error)).not.toContain(mnemonic.split(" ").at(-1));
  });

  it.each(["gp-0123456789abcdef", "gpm-0123456789abcdef", "gnk-sk-0123456789", "jg-0123456789", "obk-0123", "sk-0123"])(
    "tells a broker key apart and says where it belongs: %s",
    (text) => {
      const error = thrownBy(() => parsePrivateKey(text));
      expect(error.code).toBe("invalid_private_key");
      expect(error.hint).toContain("gateway");
      expect(shownBy(error)).not.toContain("0123");
    },
  );
});
