// Storage, compute, metering and the system: the areas of the platform's own pages.
import buckets from './buckets'
import jobs from './jobs'

export default { ...buckets, ...jobs } as const
