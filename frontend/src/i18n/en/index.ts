// Every text of the console, by key; one file an area. The files of `zh` have the same keys.
import account from './account'
import audit from './audit'
import campaigns from './campaigns'
import commands from './commands'
import catalogue from './catalogue'
import deadLetters from './dead-letters'
import forwarding from './forwarding'
import frames from './frames'
import identity from './identity'
import keys from './keys'
import map from './map'
import mappings from './mappings'
import parts from './parts'
import platform from './platform'
import people from './people'
import permissions from './permissions'
import providers from './providers'
import shell from './shell'
import sql from './sql'
import tenantLife from './tenant-life'
import tenants from './tenants'
import vehicle from './vehicle'
import vehicles from './vehicles'

export const areas = [
  catalogue,
  platform,
  shell,
  parts,
  identity,
  providers,
  map,
  mappings,
  vehicles,
  vehicle,
  campaigns,
  commands,
  frames,
  sql,
  forwarding,
  deadLetters,
  account,
  permissions,
  people,
  keys,
  audit,
  tenants,
  tenantLife,
] as const

export const en = {
  ...platform,
  ...shell,
  ...parts,
  ...identity,
  ...providers,
  ...map,
  ...mappings,
  ...catalogue,
  ...vehicles,
  ...vehicle,
  ...campaigns,
  ...commands,
  ...frames,
  ...sql,
  ...forwarding,
  ...deadLetters,
  ...account,
  ...permissions,
  ...people,
  ...keys,
  ...audit,
  ...tenants,
  ...tenantLife,
}
