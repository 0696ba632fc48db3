import { ZephError } from "../../errors/zeph-error.ts";
import { parseAddress } from "../../protocol/address.ts";
import type { Check } from "../check.ts";
import { passed, warned } from "../results.ts";
import { secretSource } from "../secret-source.ts";
import type { NativeSighting } from "./native-sighting.ts";

/** The user's key: is it there, is it one, and does it belong to the stored address? Offline. */
export function keyChecks(sighting: NativeSighting): readonly Check[] {
  return [privateKeyCheck(sighting), addressCheck(sighting), prefixCheck(sighting), signerCheck(sighting)];
}

function privateKeyCheck({ setup, config, names }: NativeSighting): Check {
  return {
    name: names.privateKey,
    provider: config.name,
    isUntimed: true,
    async run(facts) {
      const { secret, ...found } = await setup.privateKey(config);
      facts.secrets.push(secret);
      if (found.notice !== undefined) return warned(found.notice, { hint: "See `zeph vault list`." });
      return passed(secretSource(found), { data: { source: found.source, name: found.name } });
    },
  };
}

function addressCheck(sighting: NativeSighting): Check {
  const { setup, config, names } = sighting;
  return {
    name: names.address,
    provider: config.name,
    isUntimed: true,
    async run() {
      const found = await setup.optionalSecret(config.addressNames, `provider "${config.name}"`);
      if (found === undefined) {
        return warned("not stored; the address is derived from the key", {
          hint: `To compare the two at each start: zeph vault set ${config.addressNames.canonical}`,
        });
      }
      sighting.storedAddress = found.secret.reveal().trim();
      return passed(secretSource(found));
    },
  };
}

function prefixCheck({ config, names, nodes }: NativeSighting): Check {
  return {
    name: names.prefix,
    provider: config.name,
    async run() {
      for (const { address } of nodes) {
        if (address !== undefined) parseAddress(address, { prefix: config.chainPrefix });
      }
      return passed(`${config.chainPrefix}1…`, { data: { prefix: config.chainPrefix } });
    },
  };
}

/** Derives the address, compares it with the stored one (B23), and lets OpenSSL verify one signature of the key. */
function signerCheck(sighting: NativeSighting): Check {
  const { setup, config, names } = sighting;
  return {
    name: names.signer,
    dependsOn: [names.privateKey],
    after: [names.address],
    provider: config.name,
    async run() {
      const { secret } = await setup.privateKey(config);
      const { RequestSigner } = await import("../../signer/request-signer.ts");
      const signer = RequestSigner.fromHex(secret.reveal(), { prefix: config.chainPrefix });
      const { storedAddress } = sighting;
      if (storedAddress !== undefined && storedAddress !== signer.address) {
        throw new ZephError("address_mismatch", {
          detail: `the key gives ${signer.address}, stored is ${storedAddress}`,
          hint: `If the key is the right one, run: zeph vault rm ${config.addressNames.canonical} (the address is then derived)`,
        });
      }
      sighting.signer = signer;
      return passed(signer.address, { data: { address: signer.address } });
    },
  };
}
