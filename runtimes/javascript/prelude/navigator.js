// names: navigator Navigator
// needs: interfaces
// The name of the runtime (https://html.spec.whatwg.org/multipage/system-state.html#client-identification).
(function (native, shared) {
  'use strict';

  class Navigator {
    get userAgent() {
      return 'Serverledge';
    }
  }

  shared.defineInterfaces({ Navigator });
  shared.define({ navigator: new Navigator() });
});
