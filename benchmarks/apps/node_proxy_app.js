// A proxy by Node's http-proxy: node_proxy_app.js PORT UPSTREAM
const http = require('http')

const [port, upstream] = process.argv.slice(2).map(Number)

const proxy = require('http-proxy').createProxyServer({
  target: { host: '127.0.0.1', port: upstream },
  agent: new http.Agent({ keepAlive: true, maxFreeSockets: 1024 }),
})
proxy.on('error', (error, request, response) => response.destroy())

const server = http.createServer((request, response) => proxy.web(request, response))
server.keepAliveTimeout = 75000
server.listen({ port, host: '127.0.0.1', backlog: 4096 })
