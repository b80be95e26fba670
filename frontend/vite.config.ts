import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'
import { precompress } from './precompress.ts'

const api = process.env.CARCLOUD_API ?? 'http://127.0.0.1:8460'

export default defineConfig({
  plugins: [svelte(), precompress()],
  server: { host: '127.0.0.1', proxy: { '/v1': { target: api, changeOrigin: false } } },
  build: {
    outDir: '../src/carcloud/web/pages',
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 1200,
    rollupOptions: {
      output: {
        // MapLibre's worker is an .mjs file; .js has a script media type on every server
        assetFileNames: (asset) =>
          asset.names.some((name) => name.endsWith('.mjs'))
            ? 'assets/[name]-[hash].js'
            : 'assets/[name]-[hash][extname]',
      },
    },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node', testTimeout: 30_000 },
})
