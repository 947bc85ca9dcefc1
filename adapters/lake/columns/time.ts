/**
 * Dates as days and times as microseconds since 1970, in the proleptic Gregorian calendar, years
 * 0000 to 9999. Nothing is rounded: a text that is not held exactly is none.
 *
 * Source of the day count: "chrono-Compatible Low-Level Date Algorithms", H. Hinnant.
 *
 * @module
 */

const DAYS_PER_ERA = 146_097;
const DAYS_TO_1970 = 719_468;
const MICROS_PER_DAY = 86_400_000_000n;

const DASH = 45;
const DOT = 46;
const COLON = 58;
const LETTER_T = 84;
const LETTER_Z = 90;

/** Days from 1970-01-01 to a date. */
function daysOf(year: number, month: number, day: number): number {
  const y = month > 2 ? year : year - 1;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) +
    dayOfYear;
  return era * DAYS_PER_ERA + dayOfEra - DAYS_TO_1970;
}

function daysOfMonth(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28;
}

/** The number that the digits of a part of a text are, or NaN. */
function digits(text: string, start: number, end: number): number {
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (!(digit >= 0 && digit <= 9)) return NaN;
    value = value * 10 + digit;
  }
  return value;
}

function dateAtStart(text: string): number | undefined {
  const year = digits(text, 0, 4);
  const month = digits(text, 5, 7);
  const day = digits(text, 8, 10);
  if (text.charCodeAt(4) !== DASH || text.charCodeAt(7) !== DASH || Number.isNaN(year)) {
    return undefined;
  }
  return month >= 1 && month <= 12 && day >= 1 && day <= daysOfMonth(year, month)
    ? daysOf(year, month, day)
    : undefined;
}

/**
 * Reads a date.
 *
 * @param text like `2026-01-31`
 * @returns days since 1970, or undefined when it is none
 */
export function parseDate(text: string): number | undefined {
  return text.length === 10 ? dateAtStart(text) : undefined;
}

/**
 * Reads a time.
 *
 * @param text like `2026-01-31T09:30:00.123456Z`, with at most six digits behind the point
 * @returns microseconds since 1970, or undefined when it is none
 */
export function parseTimestamp(text: string): bigint | undefined {
  const days = dateAtStart(text);
  const end = text.length - 1;
  if (days === undefined || text.charCodeAt(10) !== LETTER_T || text.charCodeAt(end) !== LETTER_Z) {
    return undefined;
  }
  const hour = digits(text, 11, 13);
  const minute = digits(text, 14, 16);
  const second = digits(text, 17, 19);
  if (!(hour <= 23 && minute <= 59 && second <= 59) || end < 19) return undefined;
  if (text.charCodeAt(13) !== COLON || text.charCodeAt(16) !== COLON) return undefined;
  let micros = 0;
  if (end > 19) {
    if (text.charCodeAt(19) !== DOT || end < 21 || end > 26) return undefined;
    micros = digits(text, 20, end) * 10 ** (26 - end);
    if (Number.isNaN(micros)) return undefined;
  }
  const seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
  const whole = seconds * 1_000_000 + micros;
  return Number.isSafeInteger(whole) ? BigInt(whole) : BigInt(seconds) * 1_000_000n +
    BigInt(micros);
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, "0");
}

/**
 * Writes a date.
 *
 * @param days days since 1970
 * @returns like `2026-01-31`
 */
export function printDate(days: number): string {
  const shifted = days + DAYS_TO_1970;
  const era = Math.floor(shifted / DAYS_PER_ERA);
  const dayOfEra = shifted - era * DAYS_PER_ERA;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra -
    (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1;
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`;
}

/**
 * Writes a time with the digits it needs behind the point.
 *
 * @param micros microseconds since 1970
 * @returns like `2026-01-31T09:30:00.5Z`
 */
export function printTimestamp(micros: bigint): string {
  let days = micros / MICROS_PER_DAY;
  let rest = micros % MICROS_PER_DAY;
  if (rest < 0n) {
    days -= 1n;
    rest += MICROS_PER_DAY;
  }
  const ofDay = Number(rest);
  const second = Math.floor(ofDay / 1_000_000);
  const fraction = ofDay % 1_000_000;
  const time = `${pad(Math.floor(second / 3_600), 2)}:${pad(Math.floor(second / 60) % 60, 2)}:${
    pad(second % 60, 2)
  }`;
  const point = fraction === 0 ? "" : `.${pad(fraction, 6).replace(/0+$/, "")}`;
  return `${printDate(Number(days))}T${time}${point}Z`;
}
