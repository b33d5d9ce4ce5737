/**
 * Turnstile: how much of a turn of the event loop servers' handshakes may take. A flood of them comes in batches; done at once,
 * each batch would stop everything else for as long as all its private-key operations take.
 *
 * Handshakes that are under way go before those that begin. These take turns by address, so that a host with many waits for
 * itself, and one with few waits for one of each host.
 *
 * One operation is not interrupted: RSA-4096 takes 10 to 20 ms, so a turn has one of these.
 */

const BUDGET = 4; // milliseconds in a turn, after which no further step begins

let used = 0; // milliseconds, in this turn
let armed = false; // the next turn is to be told
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
  arm();
  if (used >= BUDGET || waiting > 0) await turnOf(address);
  const start = performance.now();
  try {
    return step();
  } finally {
    used += performance.now() - start;
    release();
  }
}

function turnOf(address: string | undefined): Promise<void> {
  waiting++;
  return new Promise((resolve) => {
    if (address === undefined) return underWay.push(resolve);
    const queue = beginning.get(address);
    if (queue === undefined) beginning.set(address, [resolve]);
    else queue.push(resolve);
  });
}

/** Lets the next one go on, if there is time left in this turn. */
function release(): void {
  if (used >= BUDGET || waiting === 0) return;
  waiting--;
  const next = underWay.shift();
  if (next !== undefined) return next();
  const [address, queue] = beginning.entries().next().value!;
  beginning.delete(address);
  queue.shift()!();
  if (queue.length > 0) beginning.set(address, queue); // behind the others
}

/** Has the next turn told to us. Between two immediates the event loop looks at the network. */
function arm(): void {
  if (armed) return;
  armed = true;
  setImmediate(() => {
    armed = false;
    used = 0;
    if (waiting === 0) return;
    arm();
    release();
  });
}
