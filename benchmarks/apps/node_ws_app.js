// WebSockets by Node's ws: node_ws_app.js PORT
const { WebSocketServer } = require('ws')

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: Number(process.argv[2]),
  backlog: 4096,
})

server.on('connection', (socket, request) => {
  const fansOut = request.url === '/fanout'
  socket.on('error', () => {}) // the close event tells the same
  socket.on('message', (data, binary) => {
    if (!fansOut) socket.send(data, { binary })
    else for (const each of server.clients) each.send(data, { binary })
  })
})
