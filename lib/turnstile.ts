/**
 * Turnstile: how much of a turn of the event loop servers' handshakes may take. A flood of them comes in batches; done at once,
 * each batch would stop everything else for as long as all its private-key operations take.
 *
 * Handshakes that are under way go before those that begin. These take turns by address, so that a host with many waits for
 * itself, and one with few waits for one of each host.
 *
 * One operation is not interrupted: RSA-4096 takes 10 to 20 ms, so a turn has one of these.
 */

const BUDGET = 8; // milliseconds in a turn, after which no further step begins
const GAP = 2; // milliseconds without a step after which another turn has begun

let used = 0; // milliseconds of this turn
let ended = 0; // when the last step did
let timer: ReturnType<typeof setTimeout> | undefined; // of the next turn, while somebody waits for it
let waiting = 0;
const underWay: (() => void)[] = [];
const beginning = new Map<string, (() => void)[]>(); // by address; the first one has its turn next

/**
 * Does a step of a handshake when it is its turn.
 *
 * @param step The work, which does not wait.
 * @param address Whose handshake begins; `undefined`: it is under way.
 */
export async function inTurn<T>(step: () => T, address: string | undefined): Promise<T> {
  let start = performance.now();
  if (timer === undefined && start - ended > GAP) used = 0;
  if (used >= BUDGET || waiting > 0) {
    await turnOf(address);
    start = performance.now();
  }
  try {
    return step();
  } finally {
    ended = performance.now();
    used += ended - start;
    release();
  }
}

function turnOf(address: string | undefined): Promise<void> {
  waiting++;
  timer ??= setTimeout(nextTurn);
  return new Promise((resolve) => {
    if (address === undefined) return underWay.push(resolve);
    const queue = beginning.get(address);
    if (queue === undefined) beginning.set(address, [resolve]);
    else queue.push(resolve);
  });
}

/** Lets the next one go on: in this turn, if there is time left, or in the next. */
function release(): void {
  if (waiting === 0) return;
  if (used >= BUDGET) {
    timer ??= setTimeout(nextTurn); // after the step: were it due by now, it would come before the network
    return;
  }
  waiting--;
  const next = underWay.shift();
  if (next !== undefined) return next();
  const [address, queue] = beginning.entries().next().value!;
  beginning.delete(address);
  queue.shift()!();
  if (queue.length > 0) beginning.set(address, queue); // behind the others
}

/** A timer, since Deno 2.9 looks at the network only once in 61 immediates (tokio's `event_interval`). */
function nextTurn(): void {
  timer = undefined;
  used = 0;
  release();
}

/** How many handshakes of this thread wait for their turn. */
export function waitingHandshakes(): number {
  return waiting;
}
