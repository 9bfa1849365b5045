//go:build unix

// Package storetest lets tests have a PostgreSQL: Debian's package, started by the test
// itself on a socket in a temporary folder, without a port.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Main runs the tests of a package, and ends the server that they started, if they did.
// TestMain calls it, and exits with what it returns.
func Main(m *testing.M) int {
	code := m.Run()
	if server.stop != nil {
		server.stop()
	}
	return code
}

var server struct {
	once sync.Once
	dir  string
	why  error // it is not there
	stop func()
	n    int
	mu   sync.Mutex
}

// Postgres is the name of a new, empty store. It is a schema of its own, which is made sooner
// than a database. Where there is no PostgreSQL the test is skipped. TestMain has to call
// Main.
func Postgres(t testing.TB) string {
	t.Helper()
	server.once.Do(func() { server.why = startPostgres() })
	if server.why != nil {
		t.Skip("no PostgreSQL: ", server.why)
	}
	server.mu.Lock()
	server.n++
	schema := fmt.Sprintf("test%d", server.n)
	server.mu.Unlock()
	ctx := context.Background()
	c, err := pgx.Connect(ctx, postgresURL("public"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
		t.Fatal(err)
	}
	return postgresURL(schema)
}

func postgresURL(schema string) string {
	return "postgres:///postgres?" + url.Values{"host": {server.dir}, "user": {"orlop"}, "search_path": {schema}}.Encode()
}

// startPostgres starts a server. It refuses to run as root, so then another user does.
func startPostgres() (err error) {
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(bins) == 0 {
		return errors.New("the package postgresql of Debian is not installed")
	}
	slices.SortFunc(bins, func(a, b string) int {
		x, _ := strconv.Atoi(filepath.Base(filepath.Dir(a)))
		y, _ := strconv.Atoi(filepath.Base(filepath.Dir(b)))
		return x - y
	})
	bin := bins[len(bins)-1]
	if server.dir, err = os.MkdirTemp("/tmp", "orlop-pg"); err != nil {
		return err
	}
	attr := dyingWithUs()
	if os.Getuid() == 0 {
		u, err := user.Lookup("nobody")
		if err != nil {
			return err
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(server.dir, uid, gid); err != nil {
			return err
		}
	}
	data := filepath.Join(server.dir, "data")
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.SysProcAttr, cmd.Dir = attr, server.dir
		cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH"), "HOME=" + server.dir}
		return cmd
	}
	if out, err := command("initdb", "-D", data, "-U", "orlop", "-A", "trust", "--encoding=UTF8", "--no-sync").CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	// Safe from a kill of a program, which is what tests do; not from a loss of power.
	cmd := command("postgres", "-D", data, "-k", server.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50", "-c", "shared_buffers=128MB")
	log, err := os.Create(filepath.Join(server.dir, "log"))
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	server.stop = func() {
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait()
		os.RemoveAll(server.dir)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c, err := pgx.Connect(context.Background(), postgresURL("public"))
		if err == nil {
			return c.Close(context.Background())
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("postgres does not answer: %w: %s", err, text)
		}
	}
}
