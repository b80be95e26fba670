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
    title: 'example.hourly',
    sql: `-- local hours of Shanghai; \`time\` itself is UTC
SELECT time_bucket(INTERVAL '1 hour', time AT TIME ZONE 'UTC' AT TIME ZONE 'Asia/Shanghai') AS hour,
       avg("Vehicle.Speed") AS mean_kmh,
       max("Vehicle.Speed") AS top_kmh,
       count(DISTINCT vehicle) AS vehicles
FROM signals
WHERE date >= current_date - 1 AND "Vehicle.Speed" > 0
GROUP BY hour
ORDER BY hour`,
  },
  {
    title: 'example.spread',
    sql: `SELECT vehicle,
       max("${BATTERY}.CellVoltage.Max" - "${BATTERY}.CellVoltage.Min") * 1000 AS spread_mv,
       min("${BATTERY}.CellVoltage.Min") AS weakest_v,
       mode("${BATTERY}.CellVoltage.IdMin") AS weakest_cell,
       max("${BATTERY}.Temperature.Max") AS hottest_c
FROM signals
WHERE date >= current_date - 1
GROUP BY vehicle
ORDER BY spread_mv DESC
LIMIT 20`,
  },
  {
    title: 'example.alarms',
    sql: `SELECT day, code, count(DISTINCT vehicle) AS vehicles, count(*) AS reports
FROM (
  SELECT date AS day, vehicle, unnest("Vehicle.Regulatory.AlarmCodes") AS code
  FROM signals
  WHERE "Vehicle.Regulatory.AlarmLevel" > 0
)
GROUP BY day, code
ORDER BY day DESC, vehicles DESC`,
  },
  {
    title: 'example.energy',
    sql: `-- power is negative while the battery gives energy; gaps count as 30 s at most
WITH steps AS (
  SELECT vehicle,
         "${BATTERY}.CurrentPower" AS watts,
         "Vehicle.TraveledDistance" AS metres,
         least(epoch(time) - epoch(lag(time) OVER drive), 30) AS seconds
  FROM signals
  WHERE date >= current_date - 1
  WINDOW drive AS (PARTITION BY vehicle ORDER BY time)
)
SELECT vehicle,
       (max(metres) - min(metres)) / 1000 AS km,
       -sum(watts * seconds) / 3.6e6 AS kwh,
       100 * kwh / nullif(km, 0) AS kwh_per_100km
FROM steps
GROUP BY vehicle
HAVING km > 0.5
ORDER BY kwh_per_100km DESC
LIMIT 50`,
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
