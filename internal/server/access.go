package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// access decides who may ask for what.
type access struct {
	cfg    *Config
	cookie string // value of the cookie that stands for the token
	origin *http.CrossOriginProtection

	mu    sync.Mutex
	rates map[netip.Addr]*rate.Limiter
}

// cookieName is the cookie that a browser gets for the token.
const cookieName = "avjepa_session"

func newAccess(cfg *Config) *access {
	a := &access{cfg: cfg, origin: http.NewCrossOriginProtection(),
		rates: map[netip.Addr]*rate.Limiter{}}
	for _, o := range cfg.Origins {
		_ = a.origin.AddTrustedOrigin(o) // cmd has checked that it is one
	}
	// It outlives a restart with the same token, and does not tell the token.
	h := hmac.New(sha256.New, []byte(cfg.Token))
	h.Write([]byte("avjepa session"))
	a.cookie = hex.EncodeToString(h.Sum(nil))
	return a
}

// CheckOrigin returns an error for what is not an origin that may be allowed, such
// as "https://notes.example".
func CheckOrigin(origin string) error {
	if u, err := url.Parse(origin); err == nil && u.Path != "" {
		return fmt.Errorf("server: origin %q has a path; it is scheme and host alone, such as "+
			"https://notes.example", origin)
	}
	return http.NewCrossOriginProtection().AddTrustedOrigin(origin)
}

// check refuses requests under foreign names, without the token, from pages of
// elsewhere, and too many of them.
func (a *access) check(s *Server, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.hostAllowed(r.Host) {
			s.Fail(w, r, problem(http.StatusForbidden, "wrong-host",
				"the server does not answer under this name").
				withHint("open it as http://localhost or http://127.0.0.1, or start it with --host NAME"))
			return
		}
		if a.cors(w, r) {
			return
		}
		if a.limited(r) {
			s.metrics.rejections.Inc()
			s.Fail(w, r, problem(http.StatusTooManyRequests, "too-many-requests",
				"too many requests from this address").after(time.Second))
			return
		}
		if a.cfg.Token != "" && !a.public(r) && !a.known(r) {
			s.Fail(w, r, problem(http.StatusUnauthorized, "token-required",
				"this server asks for its token").withHint("open the address that avjepa serve "+
				"printed, or send the header Authorization: Bearer TOKEN"))
			return
		}
		if err := a.origin.Check(r); err != nil {
			s.Fail(w, r, problem(http.StatusForbidden, "cross-origin",
				"the request comes from a page of another server").
				withHint("start the server with --allow-origin to let that page in"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *access) hostAllowed(host string) bool {
	if a.cfg.Hosts == nil {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	return slices.ContainsFunc(a.cfg.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// cors answers a browser that asks whether a page from elsewhere may ask. It reports
// whether that was all.
func (a *access) cors(w http.ResponseWriter, r *http.Request) bool {
	if len(a.cfg.Origins) == 0 {
		return false
	}
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.Contains(a.cfg.Origins, origin) {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "ETag, Link, Location, Retry-After, X-Request-Id")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
	h.Set("Access-Control-Allow-Headers",
		"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Prefer, Range")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// public reports whether a request needs no token: signs of life, and what the page
// that asks for the token is made of.
func (a *access) public(r *http.Request) bool {
	switch r.URL.Path {
	case "/healthz", "/readyz":
		return true
	case "/v1/session":
		return r.Method == http.MethodPost
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	return slices.ContainsFunc(a.cfg.Public, func(prefix string) bool {
		return strings.HasPrefix(r.URL.Path, prefix)
	})
}

// known reports whether the request carries the token or its cookie.
func (a *access) known(r *http.Request) bool {
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok &&
		strings.EqualFold(scheme, "Bearer") {
		return same(token, a.cfg.Token)
	}
	c, err := r.Cookie(cookieName)
	return err == nil && same(c.Value, a.cookie)
}

// same compares in a time that does not depend on where the texts differ.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// maxAddresses bounds what is remembered of who asked.
const maxAddresses = 4096

// limited reports whether an address asks for more work than it may. Reading is not
// counted: a page of thumbnails is many requests.
func (a *access) limited(r *http.Request) bool {
	l := a.cfg.Limits
	if l.RatePerS <= 0 || r.Method != http.MethodPost {
		return false
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	limiter := a.rates[at.Addr()]
	if limiter == nil {
		if len(a.rates) >= maxAddresses {
			for addr, l := range a.rates {
				if l.Tokens() >= float64(a.cfg.Limits.Burst) { // nothing to remember
					delete(a.rates, addr)
				}
			}
			if len(a.rates) >= maxAddresses {
				clear(a.rates)
			}
		}
		limiter = rate.NewLimiter(rate.Limit(l.RatePerS), l.Burst)
		a.rates[at.Addr()] = limiter
	}
	return !limiter.Allow()
}

// postSession takes the token, as JSON or as a form, and gives a cookie for it.
func (s *Server) postSession(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var token, next string
	switch kind {
	case "application/json":
		var in struct {
			Token string `json:"token"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return badRequest("body", `is not {"token": "…"}`)
		}
		token = in.Token
	case "application/x-www-form-urlencoded":
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return badRequest("body", "is not a small form")
		}
		form, err := url.ParseQuery(string(text))
		if err != nil {
			return badRequest("body", "is not a form")
		}
		token, next = form.Get("token"), form.Get("next")
	default:
		return problem(http.StatusUnsupportedMediaType, "unsupported-media-type",
			"the token comes as application/json or as a form")
	}
	if s.cfg.Token != "" && !same(strings.TrimSpace(token), s.cfg.Token) {
		return problem(http.StatusUnauthorized, "wrong-token", "this is not the server's token").
			withHint("avjepa serve prints the address with the token when it starts")
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: s.access.cookie, Path: "/",
		HttpOnly: true, Secure: s.cfg.TLS, SameSite: http.SameSiteStrictMode, MaxAge: 30 * 24 * 3600})
	if kind == "application/json" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	http.Redirect(w, r, localPath(next), http.StatusSeeOther)
	return nil
}

// localPath returns a path of this server's: next if it is one, else "/".
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(next, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/"
	}
	return next
}

// deleteSession takes the cookie back.
func (s *Server) deleteSession(w http.ResponseWriter, r *http.Request) error {
	http.SetCookie(w, &http.Cookie{Name: cookieName, Path: "/", HttpOnly: true, Secure: s.cfg.TLS,
		SameSite: http.SameSiteStrictMode, MaxAge: -1})
	w.WriteHeader(http.StatusNoContent)
	return nil
}
