import type { Key } from '../i18n/index.svelte'

export interface Example {
  title: Key
  sql: string
}

const BATTERY = 'Vehicle.Powertrain.TractionBattery'

export const EXAMPLES: readonly Example[] = [
  {
    title: 'example.latest',
    sql: `SELECT vehicle, time, "Vehicle.Speed" AS speed, "${BATTERY}.StateOfCharge.Displayed" AS soc
FROM signals
ORDER BY time DESC
LIMIT 100`,
  },
  {
    title: 'example.minutes',
    sql: `SELECT time_bucket(INTERVAL '1 minute', time) AS minute,
       count(*) AS reports,
       count(DISTINCT vehicle) AS vehicles,
       avg("Vehicle.Speed") AS mean_speed
FROM signals
WHERE time > now() - INTERVAL '1 hour'
GROUP BY minute
ORDER BY minute`,
  },
  {
    title: 'example.spread',
    sql: `SELECT vehicle,
       max("${BATTERY}.CellVoltage.Max" - "${BATTERY}.CellVoltage.Min") * 1000 AS spread_mv,
       min("${BATTERY}.CellVoltage.Min") AS weakest_v,
       max("${BATTERY}.Temperature.Max") AS hottest_c
FROM signals
GROUP BY vehicle
ORDER BY spread_mv DESC
LIMIT 20`,
  },
  {
    title: 'example.delay',
    sql: `SELECT source,
       count(*) AS reports,
       quantile_cont(epoch_ms(received) - epoch_ms(time), 0.5) AS p50_ms,
       quantile_cont(epoch_ms(received) - epoch_ms(time), 0.99) AS p99_ms
FROM signals
GROUP BY source
ORDER BY reports DESC`,
  },
  {
    title: 'example.dead',
    sql: `SELECT reason, clause, count(*) AS frames, max(received) AS last
FROM dead_letters
GROUP BY reason, clause
ORDER BY frames DESC`,
  },
]
