package console

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"github.com/orlop/orlop/rule"
	"github.com/orlop/orlop/store"
)

//go:embed templates/*.html static/* openapi.json
var files embed.FS

// Options say what a console shows, and to whom.
type Options struct {
	Store *store.Store
	Log   *slog.Logger     // nil is none
	Now   func() time.Time // nil is time.Now

	// Rules are those that there are, and Sources those that are read. They may be
	// called at any time. Nil is that the console is alone, without an engine.
	Rules   func() []Rule
	Sources func() []Source

	// Trial makes ready to run events by a rule alone: with the tuning that this site has,
	// or only with the built-in one, as the tests of rules are. Nil is that none is run.
	Trial func(r *rule.Rule, tuned bool) (Trial, error)

	// Known reports whether there is a field, though no alert may have it yet; hint says
	// which may have been meant. Nil is that those are the fields that some alert has.
	Known func(field string) (known bool, hint string)

	// Entered is called with the path of a one-time link that was used up here; nil is
	// nobody.
	Entered func(path string)

	OIDC *OIDC // where people may sign in, too; nil is nowhere

	Home string // where / leads; "" is /alerts
	TLS  bool   // it is served by TLS: cookies are for that alone

	// Hosts are names by which it may be asked, without ports; none is any. It keeps a
	// page of elsewhere from reaching a console on loopback by a name of its own that
	// resolves to it.
	Hosts []string
}

// A Rule is a rule and how it fares.
type Rule struct {
	*rule.Rule
	Idle    string        // why it does not run, or ""
	Tried   uint64        // events that it was tried on
	Matched uint64        // of those
	Time    time.Duration // that it took
	Events  uint64        // that came in
}

// A Source is where events come from, and what became of them.
type Source struct {
	Name, About                         string
	In, Evaluated, Filtered, Late, Lost uint64
	Rejected, Waiting                   uint64
	Note                                string

	Live   bool      // more comes: how its numbers change is shown
	Newest time.Time // when its newest event happened
}

// A Server is the console. It is an http.Handler.
type Server struct {
	o        Options
	handler  http.Handler
	pages    map[string]*pageTemplate
	limit    *limiter
	provider *provider     // nil is none
	hashing  chan struct{} // how many passwords are hashed at once
	live     *broadcast
	static   map[string]staticFile
	tests    testResults
	course   course

	stop context.CancelFunc
	done sync.WaitGroup
}

// New returns a console. Close ends it.
func New(o Options) (*Server, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Home = cmp.Or(o.Home, "/alerts")
	s := &Server{o: o, limit: newLimiter(), hashing: make(chan struct{}, 2), live: newBroadcast(), tests: newTestResults()}
	var err error
	if o.OIDC != nil {
		if s.provider, err = newProvider(o.OIDC, o.Now); err != nil {
			return nil, err
		}
	}
	if s.static, err = loadStatic(); err != nil {
		return nil, err
	}
	if s.pages, err = parsePages(s.static); err != nil {
		return nil, err
	}
	s.handler = s.routes()
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.done.Go(func() { s.watch(ctx) })
	if o.Sources != nil {
		s.course.add(o.Now(), o.Sources())
		s.done.Go(func() { s.follow(ctx) })
	}
	return s, nil
}

// Close ends what the console does by itself, and those who listen to it.
func (s *Server) Close() {
	s.stop()
	s.live.close()
	s.done.Wait()
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// HTTPServer returns a server of the console that no client can hold up for long.
func (s *Server) HTTPServer() *http.Server {
	srv := NewHTTPServer(s, s.o.Log)
	srv.RegisterOnShutdown(s.live.close)
	return srv
}

// NewHTTPServer is HTTPServer for a console that is served beside something else, or is
// still to come. It has to be closed before the server is.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// Loopback are the hosts by which a listener on loopback may be asked.
func Loopback(addr net.Addr) []string {
	if a, ok := addr.(*net.TCPAddr); ok && a.IP.IsLoopback() {
		return []string{"localhost", "127.0.0.1", "::1", a.IP.String()}
	}
	return nil
}

const (
	mostBody  = 1 << 20  // bytes of a form or a JSON body
	mostQuery = 16 << 10 // bytes of a URL
)

// A route is a way in. Role "" is for anybody.
type route struct {
	pattern string
	role    store.Role
	handle  func(s *Server, w http.ResponseWriter, r *http.Request, u *who) error
}

var routes = []route{
	{"GET /{$}", "", (*Server).home},
	{"GET /sign-in", "", (*Server).signInPage},
	{"POST /sign-in", "", (*Server).signIn},
	{"GET /sign-in/oidc", "", (*Server).oidcBegin},
	{"GET " + oidcCallbackPath, "", (*Server).oidcCallback},
	{"GET /enter", "", (*Server).enter},
	{"POST /sign-out", store.Viewer, (*Server).signOut},
	{"GET /alerts", store.Viewer, (*Server).alerts},
	{"GET /alerts/live", store.Viewer, (*Server).alertsLive},
	{"GET /alerts/export.csv", store.Viewer, (*Server).exportCSV},
	{"GET /alerts/export.ndjson", store.Viewer, (*Server).exportNDJSON},
	{"POST /alerts/act", store.Analyst, (*Server).act},
	{"GET /alerts/{id}", store.Viewer, (*Server).alert},
	{"GET /alerts/{id}/replay", store.Viewer, (*Server).replay},
	{"GET /except", store.Analyst, (*Server).except},
	{"POST /except", store.Analyst, (*Server).exceptSave},
	{"GET /exceptions", store.Viewer, (*Server).exceptions},
	{"POST /exceptions/{id}/delete", store.Analyst, (*Server).exceptionDelete},
	{"GET /rules", store.Viewer, (*Server).rules},
	{"GET /rules/{id}", store.Viewer, (*Server).rule},
	{"POST /rules/{id}/state", store.Admin, (*Server).ruleState},
	{"GET /coverage", store.Viewer, (*Server).coverage},
	{"GET /sources", store.Viewer, (*Server).sources},
	{"GET /hosts", store.Viewer, (*Server).hosts},
	{"GET /audit", store.Admin, (*Server).audit},
	{"GET /settings", store.Viewer, (*Server).settings},
	{"POST /settings/password", store.Viewer, (*Server).password},
	{"POST /settings/look", store.Viewer, (*Server).look},
	{"POST /settings/users", store.Admin, (*Server).userPut},
	{"POST /settings/users/{name}/link", store.Admin, (*Server).userLink},
	{"POST /settings/users/{name}/delete", store.Admin, (*Server).userDelete},
	{"POST /settings/tokens", store.Analyst, (*Server).tokenCreate},
	{"POST /settings/tokens/{name}/delete", store.Analyst, (*Server).tokenDelete},
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range routes {
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, rt) })
	}
	mux.HandleFunc("GET /static/{name}", s.serveStatic)
	s.apiRoutes(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, nil, &problem{http.StatusNotFound, "There is no such page."})
	})
	// Compression makes bodies that reflect what others say tell of secrets beside it: tokens
	// against forgery are masked anew on each page, and the length is blurred.
	zip, err := gzhttp.NewWrapper(gzhttp.RandomJitter(64, 0, false), gzhttp.MinSize(1024),
		gzhttp.ContentTypeFilter(func(ct string) bool { return !strings.HasPrefix(ct, "text/event-stream") }))
	if err != nil {
		panic("console: bug: " + err.Error())
	}
	origin := http.NewCrossOriginProtection()
	return s.guard(origin.Handler(zip(mux)))
}

// guard sets what is the same for all responses, and refuses what nobody may ask.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if s.o.TLS {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if !s.known(r.Host) {
			http.Error(w, "This console is not at "+plain(r.Host, 100)+".", http.StatusMisdirectedRequest)
			return
		}
		if len(r.URL.RawQuery) > mostQuery {
			http.Error(w, "The query is too long.", http.StatusRequestURITooLong)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, mostBody)
		next.ServeHTTP(w, r)
	})
}

func (s *Server) known(host string) bool {
	if len(s.o.Hosts) == 0 {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if s.provider != nil && strings.EqualFold(s.provider.host, name) {
		return true
	}
	for _, h := range s.o.Hosts {
		if strings.EqualFold(h, name) {
			return true
		}
	}
	return false
}

// serve answers a request for a page.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, rt route) {
	u, err := s.who(r)
	if err != nil {
		s.fail(w, r, nil, err)
		return
	}
	if rt.role != "" {
		if u == nil {
			if r.Method == http.MethodGet && r.Header.Get("Accept") != "text/event-stream" {
				http.Redirect(w, r, "/sign-in?then="+queryEscape(r.URL.RequestURI()), http.StatusSeeOther)
				return
			}
			s.fail(w, r, nil, &problem{http.StatusUnauthorized, "You are signed out."})
			return
		}
		if !u.may(rt.role) {
			s.fail(w, r, u, &problem{http.StatusForbidden, fmt.Sprintf("This takes the role %s; you are %s.", rt.role, u.User.Role)})
			return
		}
	}
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil {
			code := http.StatusBadRequest
			if e := new(http.MaxBytesError); errors.As(err, &e) {
				code = http.StatusRequestEntityTooLarge
			}
			s.fail(w, r, u, &problem{code, "The form cannot be read: " + err.Error() + "."})
			return
		}
		if rt.role != "" && !unmask(r.PostForm.Get("csrf"), u.Session.CSRF) {
			s.fail(w, r, u, &problem{http.StatusForbidden, "The form is from another session. Reload the page and try again."})
			return
		}
	}
	if err := rt.handle(s, w, r, u); err != nil {
		s.fail(w, r, u, err)
	}
}

// A problem is an error that is told as it is.
type problem struct {
	code int
	text string
}

func (p *problem) Error() string { return p.text }

// status is the code and the sentence of an error.
func (s *Server) status(r *http.Request, err error) (int, string) {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p.code, p.text
	case errors.Is(err, store.ErrNotFound):
		thing := strings.TrimSuffix(err.Error(), ": "+store.ErrNotFound.Error())
		return http.StatusNotFound, "There is no such thing here (any more): " + plain(thing, 200) + "."
	case errors.Is(err, context.Canceled):
		return 499, "The request was ended."
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable, "This took too long."
	}
	s.o.Log.Error("the console could not answer", "path", plain(r.URL.Path, 200), "reason", err)
	return http.StatusInternalServerError, "This did not work: " + err.Error()
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, u *who, err error) {
	code, text := s.status(r, err)
	v := &errorView{page: s.page(r, u, fmt.Sprintf("%d %s", code, http.StatusText(code))), Text: text}
	w.Header().Del("Content-Disposition")
	if e := s.render(w, code, "error", v); e != nil {
		s.o.Log.Debug("an error page was not written", "reason", e)
	}
}

type errorView struct {
	page
	Text string
}

func (s *Server) home(w http.ResponseWriter, r *http.Request, u *who) error {
	http.Redirect(w, r, s.o.Home, http.StatusSeeOther)
	return nil
}

type staticFile struct {
	data []byte
	kind string
	sum  string
}

func loadStatic() (map[string]staticFile, error) {
	all := map[string]staticFile{}
	names, err := fs.Glob(files, "static/*")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		data, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		kind := "application/octet-stream"
		switch {
		case strings.HasSuffix(name, ".css"):
			kind = "text/css; charset=utf-8"
		case strings.HasSuffix(name, ".js"):
			kind = "text/javascript; charset=utf-8"
		case strings.HasSuffix(name, ".svg"):
			kind = "image/svg+xml"
		}
		all[strings.TrimPrefix(name, "static/")] = staticFile{data, kind, sumOf(data)}
	}
	return all, nil
}

func (s *Server) serveStatic(w http.ResponseWriter, r *http.Request) {
	f, ok := s.static[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", `"`+f.sum+`"`)
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == f.sum {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if r.Header.Get("If-None-Match") == `"`+f.sum+`"` {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Write(f.data)
}
