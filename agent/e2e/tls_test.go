//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority signs certificates into files of a folder.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: folder(t)}
	a.cert, a.key = a.issue("ca", pkix.Name{CommonName: "test authority"}, nil, nil)
	return a
}

// issue writes NAME.pem and NAME.key, signed by parent or by itself.
func (a *authority) issue(name string, subject pkix.Name, parent *x509.Certificate, signer *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: subject,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: parent == nil, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(a.file(name+file), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

func TestDeviceAndCollectorKnowEachOtherByCertificates(t *testing.T) {
	t.Parallel()
	pics := pictures(t)
	centre, ca := newCollector(t), newAuthority(t)
	centre.stop(t)
	ca.issue("server", pkix.Name{CommonName: "collector"}, ca.cert, ca.key)
	begin(t, program(t), filepath.Join(centre.folder, "tls.log"), nil, "collector", "serve",
		"--store", filepath.Join(centre.folder, "store"), "--listen", centre.address, "--claims", centre.claim,
		"--cert", ca.file("server.pem"), "--key", ca.file("server.key"), "--client-ca", ca.file("ca.pem"))
	await(t, "the collector answers", func() error {
		conn, err := net.Dial("tcp", centre.address)
		return errors.Join(err, closing(conn))
	})

	d := newDevice(t, "")
	shown := parse[struct{ Device, Tenant string }](t, d.run("keys", "show", "--json").stdout)
	uplink := fmt.Sprintf("uplink:\n  url: https://%s\n  collector_keys: %s\n  spread: 0s\n  ca: %s\n",
		centre.address, filepath.Join(d.folder, "keys.pem"), ca.file("ca.pem"))
	d.configure(inAHurry + uplink)
	d.run("keys", "enroll", "--claim", centre.claim).want(t, 2) // without a certificate nobody gets in

	ca.issue("other", pkix.Name{CommonName: "another-device", Organization: []string{shown.Tenant}}, ca.cert, ca.key)
	ca.issue("device", pkix.Name{CommonName: shown.Device, Organization: []string{shown.Tenant}}, ca.cert, ca.key)
	as := func(name string) string {
		return inAHurry + uplink + fmt.Sprintf("  certificate: %s\n  key: %s\n", ca.file(name+".pem"), ca.file(name+".key"))
	}
	d.configure(as("device"))
	d.run("keys", "enroll", "--claim", centre.claim).want(t, 0, shown.Device)

	d.configure(as("other"))
	daemon := d.start()
	d.mustVerify(request{Selfie: pics.genuine})
	await(t, "health tells that the collector refuses the device", func() error {
		if h := d.health(); h.State != "degraded" {
			return errors.New(h.State)
		}
		return nil
	})
	if s := d.stats(); s.Queued != 1 {
		t.Errorf("outbox with another device's certificate: %+v, want the record to wait", s)
	}
	daemon.stop(t)
	d.configure(as("device"))
	d.start()
	d.drained()
}

func closing(c net.Conn) error {
	if c == nil {
		return nil
	}
	return c.Close()
}
