export { ZephError } from "../errors/zeph-error.ts";
export { type AddressOptions, DEFAULT_PREFIX, parseAddress, parsePrefix, toAddress } from "../protocol/address.ts";
export {
  type SignatureToVerify,
  type SignatureVerdict,
  verifySignature,
} from "../protocol/verify-signature.ts";
export { parsePrivateKey } from "./private-key.ts";
export { RequestSigner, type SignerOptions, type SignRequest } from "./request-signer.ts";
