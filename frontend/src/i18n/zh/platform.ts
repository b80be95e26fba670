// Storage, compute, metering and the system: the areas of the platform's own pages.
import buckets from './buckets'
import costs from './costs'
import jobs from './jobs'
import quotas from './quotas'
import system from './system'

export default { ...buckets, ...jobs, ...costs, ...quotas, ...system } as const
