import { createHash, type Hash } from "node:crypto";
import { ProtobufWriter } from "../protobuf.ts";
import { INFERENCE_RECORD, type InferenceRecord } from "./messages.ts";

/**
 * The inferences that are not sealed, in the order of their ids, and the hash over them.
 *
 * The protocol hashes all of them after every diff, which for a long session is megabytes. Changes fall on young ids, so
 * the state of the hash is kept at every sixty-fourth record, and only what follows the first change is hashed again.
 */
export class LiveSet {
  readonly #ids: bigint[] = [];
  readonly #records: InferenceRecord[] = [];
  /** Each record as it stands in InferencesMapProto: tag, length, record. */
  readonly #entries: Uint8Array[] = [];
  /** Hash states over the first 0, 64, 128 … records; those after a change are dropped. */
  readonly #checkpoints: Hash[] = [createHash("sha256")];
  #digest: Uint8Array | undefined;

  get size(): number {
    return this.#ids.length;
  }

  get(id: bigint): InferenceRecord | undefined {
    return this.#records[this.#indexOf(id)];
  }

  /** In the order of ids. */
  values(): readonly InferenceRecord[] {
    return this.#records;
  }

  set(record: InferenceRecord): void {
    const at = this.#placeOf(record.inferenceId);
    const isNew = this.#ids[at] !== record.inferenceId;
    this.#ids.splice(at, isNew ? 0 : 1, record.inferenceId);
    this.#records.splice(at, isNew ? 0 : 1, record);
    this.#entries.splice(at, isNew ? 0 : 1, encodeEntry(record));
    this.#changed(at);
  }

  delete(id: bigint): void {
    const at = this.#indexOf(id);
    if (at < 0) return;
    this.#ids.splice(at, 1);
    this.#records.splice(at, 1);
    this.#entries.splice(at, 1);
    this.#changed(at);
  }

  /** SHA-256 of InferencesMapProto. */
  digest(): Uint8Array {
    this.#digest ??= this.#computeDigest();
    return this.#digest;
  }

  #computeDigest(): Uint8Array {
    let from = (this.#checkpoints.length - 1) * CHECKPOINT_RECORDS;
    const hash = (this.#checkpoints.at(-1) as Hash).copy();
    for (; from + CHECKPOINT_RECORDS <= this.#entries.length; from += CHECKPOINT_RECORDS) {
      hash.update(Buffer.concat(this.#entries.slice(from, from + CHECKPOINT_RECORDS)));
      this.#checkpoints.push(hash.copy());
    }
    return hash.update(Buffer.concat(this.#entries.slice(from))).digest();
  }

  #changed(at: number): void {
    this.#digest = undefined;
    const valid = Math.floor(at / CHECKPOINT_RECORDS) + 1;
    if (this.#checkpoints.length > valid) this.#checkpoints.length = valid;
  }

  #indexOf(id: bigint): number {
    const at = this.#placeOf(id);
    return this.#ids[at] === id ? at : -1;
  }

  /** Where the id stands or would stand. New ids are higher than all before. */
  #placeOf(id: bigint): number {
    let low = 0;
    let high = this.#ids.length;
    if (high === 0 || (this.#ids[high - 1] as bigint) < id) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ids[middle] as bigint) < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const CHECKPOINT_RECORDS = 64;

function encodeEntry(record: InferenceRecord): Uint8Array {
  return new ProtobufWriter().messageField(1, INFERENCE_RECORD.encode(record)).finish();
}
