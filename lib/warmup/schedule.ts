/**
 * How many messages a day an IP may send to one provider while it warms up. Data; each schedule names its source.
 * After its last step the IP is warm, and only the provider's own limits bind.
 *
 * The position of an IP is the number of completed days of the schedule. It includes only days that counted
 * (`verdict.ts`), and need not be whole (`book.ts`, SES's percentage).
 */
import { readChoice, readList, readNumber, readObject, refuse } from '../document.ts';

export interface WarmupStep {
  /** Number of counting days on this step before the next. */
  readonly days: number;
  /** Messages a day, from one IP to one provider. */
  readonly messages: number;
}

export type Schedule = readonly WarmupStep[];

function steps(days: number, volumes: readonly number[]): Schedule {
  return volumes.map((messages) => ({ days, messages }));
}

export const SCHEDULES = {
  /**
   * One volume a week, full in the eighth: guides recommend 4 to 8 weeks (SparkPost, "IP Warm-up Overview", 2017), up
   * to 6 for many providers (Amazon SES Developer Guide, "Warming up dedicated IP addresses"). The default.
   */
  'eight-weeks': steps(7, [50, 200, 1_000, 5_000, 25_000, 100_000, 400_000]),
  /**
   * Two weeks, for wanted mail and clean lists: the daily volumes of SparkPost's "IP Warm-up Overview". SES names 14
   * days as the minimum in which a reputation forms.
   */
  fast: steps(
    1,
    [
      200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000,
      5_000_000,
    ],
  ),
  /**
   * Sixty days: each volume for four mailing days, doubled below 50,000, half more below 100,000, a fifth more above
   * (iPost, "Domain reputation: daily mail volume").
   */
  slow: steps(
    4,
    [50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_500, 25_000, 50_000, 75_000, 100_000, 120_000, 144_000],
  ),
} as const satisfies Record<string, Schedule>;

export type ScheduleName = keyof typeof SCHEDULES;
export const DEFAULT_SCHEDULE: ScheduleName = 'eight-weeks';

/**
 * Parses a schedule from its name or its steps: `[{ days: 2, messages: 100 }, …]`.
 * @throws PosternError for any other value, and for a schedule that goes down.
 */
export function readSchedule(value: unknown, path: string): Schedule {
  if (!Array.isArray(value)) {
    return SCHEDULES[readChoice(value, path, Object.keys(SCHEDULES) as ScheduleName[])];
  }
  const schedule = readList(value, path, readStep);
  if (schedule.length === 0 || schedule.length > 100) refuse(path, 'A schedule has 1 to 100 steps.');
  for (const [i, { messages }] of schedule.entries()) {
    const before = schedule[i - 1]?.messages ?? 0;
    if (messages < before) {
      refuse(
        `${path}[${i}].messages`,
        `${messages} is less than the ${before} of the step before; a schedule must not go down.`,
      );
    }
  }
  return schedule;
}

function readStep(value: unknown, path: string): WarmupStep {
  const { days, messages } = readObject(value, path, ['days', 'messages']);
  return {
    days: readNumber(days, `${path}.days`, { min: 1, max: 90, integer: true }),
    messages: readNumber(messages, `${path}.messages`, { min: 1, max: 1_000_000_000, integer: true }),
  };
}

/** Whether two schedules have the same steps, from any source. */
export function sameSchedule(one: Schedule, other: Schedule): boolean {
  if (one === other) return true;
  const same = (step: WarmupStep, i: number): boolean =>
    step.days === other[i]?.days && step.messages === other[i].messages;
  return one.length === other.length && one.every(same);
}

/** Days of the whole schedule. A position from here on is warm. */
export function totalDays(schedule: Schedule): number {
  return schedule.reduce((sum, { days }) => sum + days, 0);
}

/** Index of the step at a position; the number of steps when the IP is warm. */
function stepAt(schedule: Schedule, position: number): number {
  let end = 0;
  for (const [i, { days }] of schedule.entries()) {
    end += days;
    if (position < end) return i;
  }
  return schedule.length;
}

/** Messages a day at a position; `Infinity` when the IP is warm. */
export function budgetAt(schedule: Schedule, position: number): number {
  return schedule[stepAt(schedule, position)]?.messages ?? Number.POSITIVE_INFINITY;
}

/** Budgets of the days from a position on, `most` of them at most, while the IP warms up. */
export function budgetsFrom(schedule: Schedule, position: number, most: number): number[] {
  const budgets = Array.from({ length: most }, (_, i) => budgetAt(schedule, position + i));
  return budgets.filter((budget) => budget !== Number.POSITIVE_INFINITY);
}

/** Position of the beginning of the previous step; 0 on the first step. */
export function stepBefore(schedule: Schedule, position: number): number {
  const step = Math.max(0, stepAt(schedule, position) - 1);
  return totalDays(schedule.slice(0, step));
}

/**
 * The position in another schedule of an IP with a budget of `budget` messages a day: the beginning of the last step
 * that is not larger.
 */
export function positionFor(schedule: Schedule, budget: number): number {
  if (budget === Number.POSITIVE_INFINITY) return totalDays(schedule);
  let position = 0;
  let end = 0;
  for (const { days, messages } of schedule) {
    if (messages <= budget) position = end;
    end += days;
  }
  return position;
}
