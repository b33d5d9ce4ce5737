/** Of the tests: a worst day in some seconds. */
export const QUICK = {
  outage: 3,
  calm: 1,
  lifetime: 10,
  rotateEvery: 2,
  refreshEvery: 0.25,
  clients: 8,
  every: 0.2,
  renewals: 2,
};
