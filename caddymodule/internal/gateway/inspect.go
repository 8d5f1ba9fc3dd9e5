package gateway

// Generations returns how many configurations have started and not stopped. Tests that run
// a gateway behind Caddy check it.
func Generations() int {
	generations.mu.Lock()
	defer generations.mu.Unlock()
	return len(generations.all)
}

// An Inspection is the inner state of a gateway. Tests that run it behind Caddy check it.
type Inspection struct {
	Closing   bool // whether it waits for its handlers, to close
	Exporting bool // whether it has an exporter of spans
}

// Inspect returns the inner state of the gateway.
func (g *Gateway) Inspect() (i Inspection) {
	if i.Closing = !g.users.TryRLock(); !i.Closing {
		g.users.RUnlock()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i.Exporting = g.spans != nil
	return i
}
