// The greeting by Node: node_app.js PORT
const BODY = 'Hello, World!'

const server = require('http').createServer((request, response) => {
  response.writeHead(200, {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(BODY),
  })
  response.end(BODY)
})
server.keepAliveTimeout = 75000
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 })
