package pages

import (
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"rsc.io/qr"
)

// phoneAddresses are the addresses of this server that another device may reach.
func (s *Site) phoneAddresses() []string {
	var out []string
	for _, a := range s.src.Config().Addresses {
		u, err := url.Parse(a)
		if err != nil {
			continue
		}
		ip, err := netip.ParseAddr(u.Hostname())
		if u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
			out = append(out, a)
		}
	}
	return out
}

// phone shows the address with its token as a code for another device's camera. It is
// behind the token, like every page.
func (s *Site) phone(w http.ResponseWriter, r *http.Request) error {
	type place struct {
		Address string // without the token: somebody may look over one's shoulder
		Code    template.HTML
	}
	var body struct {
		Places []place
		Token  bool
	}
	body.Token = s.src.Config().Token != ""
	for _, a := range s.phoneAddresses() {
		code, err := qr.Encode(a, qr.M)
		if err != nil {
			continue
		}
		plain, _, _ := strings.Cut(a, "#")
		body.Places = append(body.Places, place{plain, codeSVG(code)})
	}
	w.Header().Set("Cache-Control", "no-store")
	return s.show(w, r, http.StatusOK, "phone", "Open on another device", body)
}

// codeSVG draws a QR code with the margin that readers want, dark on white in both themes.
func codeSVG(code *qr.Code) template.HTML {
	const quiet = 4
	side := code.Size + 2*quiet
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="code" viewBox="0 0 %d %d" role="img" aria-label="QR code of the address" `+
		`shape-rendering="crispEdges"><rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="`,
		side, side, side, side)
	for y := range code.Size {
		for x := range code.Size {
			if code.Black(x, y) {
				fmt.Fprintf(&b, "M%d %dh1v1h-1z", x+quiet, y+quiet)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()) // numbers alone
}
