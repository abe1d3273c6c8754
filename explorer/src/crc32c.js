// CRC-32C (Castagnoli), eight bytes at a time, and a Zarr codec that verifies it; zarrita's own only strips it.

const TABLES = tables();

/** Return the checksum of bytes as an unsigned number. */
export function crc32c(bytes) {
  let crc = 0xffffffff;
  let k = 0;
  const [a, b, c, d, e, f, g, h] = TABLES;
  for (const stop = bytes.length - 7; k < stop; k += 8) {
    const low = crc ^ (bytes[k] | (bytes[k + 1] << 8) | (bytes[k + 2] << 16) | (bytes[k + 3] << 24));
    crc =
      h[low & 255] ^ g[(low >>> 8) & 255] ^ f[(low >>> 16) & 255] ^ e[low >>> 24] ^
      d[bytes[k + 4]] ^ c[bytes[k + 5]] ^ b[bytes[k + 6]] ^ a[bytes[k + 7]];
  }
  for (; k < bytes.length; k++) crc = a[(crc ^ bytes[k]) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** The codec `crc32c`: the last four bytes hold the checksum of the others. */
export class VerifiedCrc32c {
  kind = "bytes_to_bytes";

  static fromConfig() {
    return new VerifiedCrc32c();
  }

  encode() {
    throw new Error("this page only reads");
  }

  decode(bytes) {
    const length = bytes.byteLength - 4;
    if (length < 0) throw new Error("its checksum is cut off");
    const stored = new DataView(bytes.buffer, bytes.byteOffset + length, 4).getUint32(0, true);
    const rest = new Uint8Array(bytes.buffer, bytes.byteOffset, length);
    if (crc32c(rest) !== stored) throw new Error("its checksum does not match");
    return rest;
  }
}

function tables() {
  const first = new Uint32Array(256);
  for (let n = 0; n < 256; n++) {
    let value = n;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
    first[n] = value;
  }
  const all = [first];
  for (let k = 1; k < 8; k++) {
    const before = all[k - 1];
    all.push(Uint32Array.from(before, (value) => first[value & 255] ^ (value >>> 8)));
  }
  return all;
}
