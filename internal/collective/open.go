package collective

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"avjepa/internal/engine"
	"avjepa/internal/engine/torch"
)

// Config says how processes meet.
type Config struct {
	Place
	Library   string        // path of the torch engine's shim
	Host      string        // name of this machine, for messages
	Interface string        // network interface for sums; "" for the one towards process 0
	Timeout   time.Duration // for all to come, and of one sum; 0 for 10 min
	Every     time.Duration // between signs of life; 0 for 1 s
	Silence   time.Duration // after which a process counts as lost; 0 for 10 s
}

// Processes are those that were started together, as one of them sees them.
type Processes struct {
	Place
	cfg    Config
	store  *torch.Store // nil once it is left to the end of the process
	watch  *Watch
	groups []*torch.Group
}

// Open meets the other processes and begins to watch them. A cancelled context ends
// the waiting; what was opened is then left to the end of the process.
func Open(ctx context.Context, c Config) (*Processes, error) {
	c.Timeout = cmp.Or(c.Timeout, 10*time.Minute)
	type result struct {
		p   *Processes
		err error
	}
	done := make(chan result, 1)
	go func() {
		p, err := open(c)
		done <- result{p, err}
	}()
	select {
	case r := <-done:
		return r.p, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func open(c Config) (*Processes, error) {
	p := &Processes{Place: c.Place, cfg: c}
	var err error
	p.store, err = torch.OpenStore(torch.StoreConfig{Library: c.Library, Host: c.Master,
		Port: c.Port, Serve: c.Rank == 0 && !c.Served, Timeout: c.Timeout,
		Prefix: "avjepa/" + c.Attempt + "/"})
	if err != nil {
		return nil, c.whyNoStore(err)
	}
	w := WatchConfig{Rank: c.Rank, Size: c.Size, Host: c.Host, Every: c.Every, Silence: c.Silence,
		Start: c.Timeout}
	if c.Rank == 0 {
		p.watch, err = p.serve(w)
	} else {
		p.watch, err = p.join(w)
	}
	if err != nil {
		p.store.Close()
		return nil, err
	}
	return p, nil
}

// whyNoStore says what an error of the store's opening means.
func (c Config) whyNoStore(err error) error {
	at := fmt.Sprintf("MASTER_ADDR = %s, MASTER_PORT = %d", c.Master, c.Port)
	text := strings.ToLower(err.Error())
	switch {
	case strings.Contains(text, "eaddrinuse") || strings.Contains(text, "already in use"):
		return fmt.Errorf("collective: %s: the port is taken by another program or job: "+
			"choose another one (%w)", at, err)
	case strings.Contains(text, "timed out"):
		return fmt.Errorf("collective: rank %d of %d found no process 0 within %v at %s: is it "+
			"running, and is that address its machine's? (%w)", c.Rank, c.Size, c.Timeout, at, err)
	}
	return fmt.Errorf("collective: rank %d of %d: %s: %w", c.Rank, c.Size, at, err)
}

// nameWatch is where process 0 stores the watch's port and token.
const nameWatch = "watch"

// serve begins the watch as process 0.
func (p *Processes) serve(w WatchConfig) (*Watch, error) {
	listener, err := net.Listen("tcp", ":0")
	if err != nil {
		return nil, fmt.Errorf("collective: listening for the other processes: %w", err)
	}
	secret := make([]byte, 16)
	rand.Read(secret) // never fails
	w.Token = hex.EncodeToString(secret)
	port := listener.Addr().(*net.TCPAddr).Port
	if err := p.store.Set(nameWatch, fmt.Appendf(nil, "%d %s", port, w.Token)); err != nil {
		listener.Close()
		return nil, err
	}
	return Serve(listener, w)
}

// join finds process 0's watch.
func (p *Processes) join(w WatchConfig) (*Watch, error) {
	value, err := p.store.Get(nameWatch)
	if err != nil {
		return nil, fmt.Errorf("collective: rank %d of %d: process 0 has not said where it is: "+
			"do all have the same MASTER_PORT, and one of them RANK 0? (%w)", p.Rank, p.Size, err)
	}
	port, token, ok := strings.Cut(string(value), " ")
	if _, err := strconv.Atoi(port); err != nil || !ok {
		return nil, fmt.Errorf("collective: at %s, port %d is no process 0 of this program",
			p.Master, p.Port)
	}
	w.Token = token
	return Join(net.JoinHostPort(p.Master, port), w)
}

// Lost is closed once a process was lost; Err says which.
func (p *Processes) Lost() <-chan struct{} { return p.watch.Lost() }

// Err returns a *Loss once a process was lost, else nil.
func (p *Processes) Err() error { return p.watch.Err() }

// ErrLeft is behind the error of waiting for process 0 when that ended as it should.
var ErrLeft = errors.New("process 0 has left")

// FromFirst returns process 0's value of a name, which it gives here; that of the
// others is not looked at. A name serves once. The error is ErrLeft when process 0
// has said goodbye instead; there is no Group after that.
func (p *Processes) FromFirst(name string, mine []byte) ([]byte, error) {
	if p.Rank == 0 {
		return mine, p.store.Set(name, mine)
	}
	var value []byte
	var err error
	done, store := make(chan struct{}), p.store
	go func() {
		value, err = store.Get(name)
		close(done)
	}()
	select {
	case <-done:
	case <-p.watch.left:
		p.store = nil // Get may still wait in it
		return nil, fmt.Errorf("collective: waiting for its %s: %w", name, ErrLeft)
	case <-p.watch.Lost():
		p.store = nil
		return nil, p.Err()
	}
	if err != nil {
		return nil, p.watch.Explain(err)
	}
	return value, nil
}

// Group connects the processes for sums over tensors of e. All processes call it.
func (p *Processes) Group(e engine.Engine) (engine.Group, error) {
	address := ""
	if p.cfg.Interface == "" {
		var err error
		if address, err = localAddress(p.Master, p.LocalSize < p.Size); err != nil {
			return nil, err
		}
	}
	g, err := p.store.OpenGroup(e, torch.GroupConfig{Rank: p.Rank, Size: p.Size,
		Address: address, Interface: p.cfg.Interface, Timeout: p.cfg.Timeout,
		Explain: p.watch.Explain})
	if err != nil {
		return nil, err
	}
	p.groups = append(p.groups, g)
	return g, nil
}

// Close says goodbye: with this process's own error the others end with its text,
// with nil they may go on.
func (p *Processes) Close(err error) {
	if err == nil && !p.leaveGroups() {
		p.store = nil // the groups still use it
	}
	p.watch.Close(err)
	if err == nil && p.store != nil {
		p.store.Close()
	}
}

// leaving bounds the time it takes to leave the groups: NCCL waits for the others,
// which may have ended in another way.
const leaving = 20 * time.Second

// leaveGroups closes the groups and reports whether that came to its end, before a
// process was lost and before it took too long.
func (p *Processes) leaveGroups() bool {
	done := make(chan struct{})
	go func() {
		for _, g := range p.groups {
			g.Close()
		}
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-p.watch.Lost():
	case <-time.After(leaving):
	}
	return false
}

// localAddress returns the address of this machine on its way to process 0's. Where
// there are other machines a loopback address is of no use to them: a machine may
// know its own name by one.
func localAddress(master string, others bool) (string, error) {
	ip := towards(master)
	named := net.ParseIP(master) == nil // Kubernetes tells process 0 localhost
	if ip != nil && ip.IsLoopback() && others && named {
		if outward := towards(documentation); outward != nil {
			ip = outward
		}
	}
	if ip == nil {
		return "", fmt.Errorf("collective: no way from here to MASTER_ADDR = %s: is the name or "+
			"address right, and the network up?", master)
	}
	return ip.String(), nil
}

// documentation is an address that no machine has: what the system would send from
// here to there is what it uses by default. Nothing is sent.
const documentation = "192.0.2.1"

// towards returns the address from which this machine reaches another, nil if it
// does not.
func towards(host string) net.IP {
	conn, err := net.Dial("udp", net.JoinHostPort(host, "9"))
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP
}
