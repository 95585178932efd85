# requires: rsa==4.9.1
import rsa

def handler(params):
    public, private = rsa.newkeys(512, accurate=False)
    signed = rsa.sign(params["text"].encode(), private, "SHA-256")
    sealed = rsa.encrypt(b"secret", public)
    try:
        rsa.verify(b"other", signed, public)
    except rsa.VerificationError as error:
        fault = str(error)
    again = rsa.PublicKey.load_pkcs1(public.save_pkcs1())
    return [rsa.verify(params["text"].encode(), signed, public), rsa.decrypt(sealed, private).decode(), fault, again == public, rsa.compute_hash(b"abc", "SHA-1").hex()]
