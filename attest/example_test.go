// SPDX-License-Identifier: Apache-2.0

package attest_test

import (
	"fmt"

	"github.com/hallmark-dev/hallmark/attest"
)

// A signature of an image is a statement with an empty predicate. What the key
// signs is the PAE of its bytes.
func Example() {
	image, err := attest.ParseDigest("sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")
	if err != nil {
		panic(err)
	}
	statement, err := attest.NewStatement(image, attest.PredicateSignature, nil)
	if err != nil {
		panic(err)
	}
	payload, err := statement.Encode()
	if err != nil {
		panic(err)
	}
	fmt.Println(string(payload))
	fmt.Println(string(attest.PAE(attest.PayloadType, payload)[:38]))

	read, err := attest.ParseStatement(payload)
	if err != nil {
		panic(err)
	}
	fmt.Println(read.Binds(image), read.Binds(attest.DigestOf([]byte("another image"))))
	// Output:
	// {"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}
	// DSSEv1 28 application/vnd.in-toto+json
	// true false
}

// Two readings of one document are one too many.
func ExampleCheckJSON() {
	scan := []byte(`{"scanner":"x","result":{"findings":3,"Findings":0}}`)
	fmt.Println(attest.CheckJSON(scan, attest.MaxDepth, 1<<20))
	// Output:
	// unacceptable JSON: $.result: members "findings" and "Findings" differ in case only
}
