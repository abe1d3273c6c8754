// Numbers as people read them.

/** With its sign, in two digits. */
export function signed(value) {
  if (value === 0) return "0";
  const text = plain(Math.abs(value), 2);
  return value < 0 ? `−${text}` : `+${text}`;
}

/** In some digits, without an exponent where that is short. */
export function plain(value, digits = 2) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e4 || size < 1e-4 ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−").replace("e−", "e-").replace("e+", "e");
}

/** With two decimals. */
export function fixed(value) {
  return value.toFixed(2).replace("-", "−");
}

/** A whole number with commas. */
export function counted(value) {
  return value.toLocaleString("en");
}
