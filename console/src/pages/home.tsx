/** The console's own address leads to the functions. */
import { useEffect } from 'preact/hooks';
import { navigate } from '../router';

export default function Home(): null {
  useEffect(() => navigate('/functions', { replace: true }), []);
  return null;
}
