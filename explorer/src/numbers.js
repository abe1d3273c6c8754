// Formatting of numbers.

/** Return a number with its sign, in two digits. */
export function signed(value) {
  if (value === 0) return "0";
  const text = plain(Math.abs(value), 2);
  return value < 0 ? `−${text}` : `+${text}`;
}

/** Return a number with some significant digits, without an exponent if that is short. */
export function plain(value, digits = 2) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size >= 1e4 || size < 1e-4 ? value.toExponential(digits - 1) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−").replace("e−", "e-").replace("e+", "e");
}

/** Return a number with two decimals. */
export function fixed(value) {
  return value.toFixed(2).replace("-", "−");
}

/** Return a whole number with commas. */
export function counted(value) {
  return value.toLocaleString("en");
}
