export { ZephError } from "../errors.ts";
export { type SignatureToVerify, type SignatureVerdict, verifySignature } from "../wire/classic.ts";
export { type AddressOptions, DEFAULT_PREFIX, parseAddress, parsePrefix } from "../wire/endpoint.ts";
export { toAddress } from "../wire/secp256k1.ts";
export { parsePrivateKey, RequestSigner, type SignerOptions, type SignRequest } from "./signer.ts";
