// SPDX-License-Identifier: Apache-2.0

package fulcio

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

const (
	// rsaExponent is the only one that the profile has.
	rsaExponent = 65537
	// smallPrimes is up to where a modulus is divided: what Let's Encrypt does.
	smallPrimes = 752
	// fermatRounds finds a modulus whose primes are so close to each other that
	// a square root nearly factors it (CVE-2022-26320: a few rounds suffice).
	fermatRounds = 100
)

// checkStrength admits the keys that the Sigstore ecosystem has: ECDSA P-256,
// P-384 and P-521, Ed25519, and RSA of 2048, 3072 and 4096 bits. Of RSA keys it
// refuses those that are broken on sight. It does not look for keys that are
// known elsewhere.
func checkStrength(key crypto.PublicKey) error {
	switch pub := key.(type) {
	case *rsa.PublicKey:
		return checkModulus(pub)
	case *ecdsa.PublicKey:
		if !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, pub.Curve) {
			return errors.New("ECDSA curve is not P-256, P-384 or P-521")
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("unsupported public key type: %T", key)
}

func checkModulus(pub *rsa.PublicKey) error {
	if bits := pub.N.BitLen(); !slices.Contains([]int{2048, 3072, 4096}, bits) {
		return fmt.Errorf("RSA modulus size is %d bits, want 2048, 3072 or 4096", bits)
	}
	if pub.E != rsaExponent {
		return fmt.Errorf("RSA exponent %d, want %d", pub.E, rsaExponent)
	}
	rest := new(big.Int)
	for n := int64(2); n < smallPrimes; n++ { // composite divisors cost little and need no list
		if rest.Mod(pub.N, big.NewInt(n)).Sign() == 0 {
			return fmt.Errorf("RSA modulus is a multiple of %d", n)
		}
	}
	if closePrimes(pub.N) {
		return errors.New("RSA modulus has two primes that are close to each other")
	}
	return nil
}

// closePrimes is Fermat's factorization: N = a² - b², a just above the root.
func closePrimes(n *big.Int) bool {
	one := big.NewInt(1)
	a := new(big.Int).Sqrt(n)
	if new(big.Int).Mul(a, a).Cmp(n) < 0 {
		a.Add(a, one)
	}
	b2, b := new(big.Int), new(big.Int)
	for range fermatRounds {
		b2.Sub(b2.Mul(a, a), n)
		if b.Sqrt(b2); new(big.Int).Mul(b, b).Cmp(b2) == 0 {
			return true
		}
		a.Add(a, one)
	}
	return false
}
